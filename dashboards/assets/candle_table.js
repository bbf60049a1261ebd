// The candles that differ: filter, pages, and a row to pick. All text is set as text, never as HTML.
export function render({ model }) {
  const verdict = make("select", { "aria-label": "Verdict" })
  const text = make("input", { type: "search", placeholder: "Filter by text", "aria-label": "Text", spellcheck: "false" })
  const count = make("span", { class: "count", role: "status" })
  const newer = make("button", { type: "button" }, "Newer")
  const older = make("button", { type: "button" }, "Older")
  const body = make("tbody", {})
  const heads = ["Candle (UTC)", "Verdict", "Detail", "Apart (bp)"]
  const table = make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), body)
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Candles that differ" }, table)
  const root = make("div", { class: "candles" },
    make("div", { class: "tools" }, verdict, text, count, make("span", { class: "pages" }, newer, older)), scroll)
  let timer = 0

  const row = (one) => {
    const chosen = make("button", { type: "button", "aria-pressed": String(one.id === model.candle) }, one.ts)
    const line = make("tr", { "data-candle": one.id },
      make("td", { class: "when" }, chosen), make("td", {}, one.verdict),
      make("td", { class: "detail" }, one.detail), make("td", { class: "number" }, one.apart))
    line.addEventListener("click", () => {
      model.candle = one.id
      if (matchMedia("(max-width: 1100px)").matches) document.getElementById("candle-title")?.scrollIntoView()
    })
    return line
  }
  const draw = () => {
    const first = model.page * model.size
    const number = (value) => value.toLocaleString("en")
    count.textContent = model.found
      ? `${number(first + 1)} to ${number(first + model.rows.length)} of ${number(model.found)}`
      : "None differs in this way"
    newer.disabled = model.page === 0
    older.disabled = first + model.rows.length >= model.found
    scroll.hidden = !model.rows.length
    const held = root.getRootNode().activeElement?.closest("tr")?.dataset.candle
    body.replaceChildren(...model.rows.map(row))
    if (held) body.querySelector(`[data-candle="${CSS.escape(held)}"] button`)?.focus()
  }
  const mark = () => {
    for (const line of body.rows)
      line.querySelector("button").setAttribute("aria-pressed", String(line.dataset.candle === model.candle))
  }
  const offer = () => {
    verdict.replaceChildren(make("option", { value: "" }, "Every verdict"),
      ...model.verdicts.map((name) => make("option", { value: name }, name)))
    verdict.value = model.verdict
  }

  verdict.addEventListener("change", () => { model.verdict = verdict.value })
  text.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(() => { model.text = text.value }, 200)
  })
  newer.addEventListener("click", () => { model.page -= 1; scroll.scrollTop = 0 })
  older.addEventListener("click", () => { model.page += 1; scroll.scrollTop = 0 })
  for (const name of ["rows", "found", "page"]) model.on(name, draw)
  model.on("candle", mark)
  model.on("verdicts", offer)
  model.on("verdict", () => { verdict.value = model.verdict })
  model.on("text", () => { if (root.getRootNode().activeElement !== text) text.value = model.text })
  offer()
  text.value = model.text
  draw()
  return root
}
