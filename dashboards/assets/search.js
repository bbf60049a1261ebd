// A box to search series; what is typed is sent when the typing pauses.
export function render({ model }) {
  const box = document.createElement("input")
  const attributes = { type: "search", spellcheck: "false", autocomplete: "off", placeholder: "Search series", "aria-label": "Search series" }
  for (const [name, value] of Object.entries(attributes)) box.setAttribute(name, value)
  let timer = 0
  box.value = model.find
  box.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(() => { model.find = box.value }, 150)
  })
  const root = document.createElement("div")
  root.className = "picker search"
  root.append(box)
  return root
}
