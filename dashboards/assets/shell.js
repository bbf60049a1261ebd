// Keeps the page's address and its theme in step with the server's side; the button is part of the page's HTML.
export function render({ model }) {
  const page = document.documentElement
  const write = () => {
    if (model.query.page) history.replaceState(null, "", "?" + new URLSearchParams(model.query))
  }
  model.on("query", write)
  write()
  document.getElementById("theme").addEventListener("click", () => {
    page.dataset.theme = page.dataset.theme === "light" ? "dark" : "light"
    model.theme = page.dataset.theme
  })
  return document.createElement("span")
}
