// How a series stands against when its next candle closes, in words and in a colour. Times are milliseconds.
function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  if (seconds === 0) return "0 s"
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]
  const at = parts.findIndex(([size]) => seconds >= size)
  const [size, unit] = parts[at]
  const below = parts[at + 1]
  const rest = below === undefined ? 0 : Math.floor((seconds % size) / below[0])
  return `${Math.floor(seconds / size).toLocaleString("en")} ${unit}` + (rest > 0 ? ` ${rest} ${below[1]}` : "")
}
// For `leeway` after that it may take until the candle is known.
function standing({ closed, due, step, leeway = 0 }, now) {
  const age = `closed ${span(now - closed)} ago`
  if (due === null) return { tone: "muted", state: "by hand", words: `${age}; from a file: none is due` }
  if (now < due) return { tone: "good", state: "fresh", words: `${age}; next in ${span(due - now)}` }
  if (now < due + leeway) return { tone: "good", state: "fresh", words: `${age}; the next is due now` }
  const behind = Math.floor((now - due) / step) + 1
  const lacking = `${behind.toLocaleString("en")} ${behind === 1 ? "candle" : "candles"} behind`
  const [tone, state] = now < due + step ? ["warn", "due"] : ["bad", "late"]
  return { tone, state, words: `${lacking}; ${age}` }
}
function write(element, standing) {
  if (element.textContent !== standing.words) element.textContent = standing.words
  element.className = `standing ${standing.tone}`
  element.dataset.state = standing.state
}
