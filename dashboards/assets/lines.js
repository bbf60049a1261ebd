// The columns that a chart can draw, each a switch in its line's colour; names are set as text.
export function render({ model }) {
  const root = document.createElement("div")
  root.setAttribute("role", "group")
  root.setAttribute("aria-label", model.label)
  const draw = () => {
    root.replaceChildren(...model.lines.map(({ name, colour, drawn }, n) => {
      const button = document.createElement("button")
      button.type = "button"
      button.setAttribute("aria-pressed", String(drawn))
      button.style.setProperty("--colour", colour)
      button.textContent = name
      button.addEventListener("click", () => model.send_msg({ line: n }))
      return button
    }))
  }
  model.on("lines", draw)
  draw()
  return root
}
