export function render({ model }) {
  const words = document.createElement("span")
  const root = document.createElement("div")
  root.className = "freshness"
  root.append("Newest candle ", words)
  const tick = () => {
    const told = standing(model, Date.now())
    write(words, told)
    if (model.late !== (told.state === "late")) model.late = told.state === "late"
  }
  for (const name of ["closed", "due", "step"]) model.on(name, tick)
  setInterval(tick, 1000)
  tick()
  return root
}
