// Buttons of which one is pressed. All text is set as text, never as HTML.
export function render({ model }) {
  const root = document.createElement("div")
  root.className = "choices"
  root.setAttribute("role", "group")
  const draw = () => {
    root.setAttribute("aria-label", model.label)
    const focused = root.getRootNode().activeElement?.dataset.id
    root.replaceChildren(
      ...model.options.map(({ id, title, count }) => {
        const button = document.createElement("button")
        const number = document.createElement("b")
        number.textContent = count.toLocaleString("en")
        button.type = "button"
        button.dataset.id = id
        button.setAttribute("aria-pressed", String(id === model.chosen))
        button.append(`${title} `, number)
        button.addEventListener("click", () => { model.chosen = id })
        return button
      }),
    )
    if (focused !== undefined) [...root.children].find((button) => button.dataset.id === focused)?.focus()
  }
  for (const name of ["options", "chosen", "label"]) model.on(name, draw)
  draw()
  return root
}
