// Boxes side by side to choose one of some in each. All text is set as text, never as HTML.
export function render({ model }) {
  const root = make("div", { class: "selects" })
  const draw = () => {
    const focused = root.getRootNode().activeElement?.name
    root.replaceChildren(...model.boxes.map(({ name, label, options }) => {
      const box = make("select", { name }, ...options.map(({ id, title }) => make("option", { value: id }, title)))
      box.value = model.chosen[name]
      box.addEventListener("change", () => { model.chosen = { ...model.chosen, [name]: box.value } })
      return make("label", {}, make("span", {}, label), box)
    }))
    if (focused) [...root.querySelectorAll("select")].find((box) => box.name === focused)?.focus()
  }
  const mark = () => {
    for (const box of root.querySelectorAll("select")) box.value = model.chosen[box.name]
  }
  model.on("boxes", draw)
  model.on("chosen", mark)
  draw()
  return root
}
