// Write the values at the pointer's place beside the chart's title, as text.
const output = document.getElementById("read-result")
const at = cb_obj.x
const written = (value) =>
  value.toLocaleString("en-US", Math.abs(value) < 1000 ? { maximumSignificantDigits: 6 } : { maximumFractionDigits: 2 })
const words = sources.map((source, n) => {
  const { ts, y } = source.data
  let first = 0
  let last = ts.length - 1
  while (first < last) {
    const middle = (first + last) >> 1
    if (ts[middle] < at) first = middle + 1
    else last = middle
  }
  if (first > 0 && at - ts[first - 1] < ts[first] - at) first -= 1
  return Number.isFinite(y[first]) ? `${names[n]} ${written(y[first])}` : ""
})
const instant = times ? new Date(at).toISOString().slice(0, 16).replace("T", " ") : written(at)
if (output !== null) output.textContent = [instant, ...words].join("   ")
