// Write the values at the pointer's time beside the titles of the charts.
const at = cb_obj.x
places.forEach((place, n) => {
  const output = document.getElementById(`read-${place}`)
  const data = sources[n].data
  if (output === null || data.ts.length === 0) return
  let first = 0
  let last = data.ts.length - 1
  while (first < last) {
    const middle = (first + last) >> 1
    if (data.ts[middle] < at) first = middle + 1
    else last = middle
  }
  if (first > 0 && at - data.ts[first - 1] < data.ts[first] - at) first -= 1
  const instant = new Date(data.ts[first]).toISOString()
  const written = (value) =>
    value.toLocaleString("en-US", Math.abs(value) < 1000 ? { maximumSignificantDigits: 6 } : { maximumFractionDigits: 2 })
  const words = values[n].map(([label, field]) => {
    if (typeof data[field][first] === "string") return data[field][first]
    const value = data[field][first] * (label.endsWith("%") ? 100 : 1)
    return Number.isFinite(value) ? `${label} ${written(value)}` : ""
  })
  const day = instant.slice(0, 10)
  output.textContent = [instant.endsWith("T00:00:00.000Z") ? day : `${day} ${instant.slice(11, 16)}`, ...words].join("   ")
})
