// Fit the value axis to what is in view.
let low = Infinity
let high = -Infinity
sources.forEach((source, n) => {
  const times = source.data.ts
  for (const field of fields[n]) {
    const values = source.data[field]
    for (let i = 0; i < times.length; i++) {
      if (times[i] < time.start || times[i] > time.end || !Number.isFinite(values[i])) continue
      low = Math.min(low, values[i])
      high = Math.max(high, values[i])
    }
  }
})
if (low <= high) {
  const margin = (high - low) * 0.06 || Math.abs(high) * 0.05 || 1
  axis.setv({start: low - margin, end: ceiling ?? high + margin})
}
