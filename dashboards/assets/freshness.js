export function render({ model }) {
  const words = document.createElement("span")
  const root = document.createElement("div")
  root.className = "freshness"
  root.append("Newest candle ", words)
  const tick = () => write(words, standing(model, Date.now()))
  for (const name of ["closed", "due", "step"]) model.on(name, tick)
  setInterval(tick, 1000)
  tick()
  return root
}
