// Keeps the page's address and its theme in step with the server's side; the button is part of the page's HTML.
// When the server goes away, says so, and loads the page anew as soon as it is back: the address knows the rest.
export function render({ model, view }) {
  const page = document.documentElement
  const write = () => {
    if (model.query.page) history.replaceState(null, "", "?" + new URLSearchParams(model.query))
  }
  const wait = async () => {
    page.dataset.lost = ""
    const answer = await fetch("static/js/bokeh.min.js", { method: "HEAD", cache: "no-store" }).catch(() => null)
    if (answer?.ok) location.reload()
    else setTimeout(wait, 1000)
  }
  const name = () => { if (model.title) document.title = model.title }
  model.on("query", write)
  model.on("title", name)
  write()
  name()
  view.model.document.on_event("connection_lost", wait)
  document.getElementById("theme").addEventListener("click", () => {
    page.dataset.theme = page.dataset.theme === "light" ? "dark" : "light"
    model.theme = page.dataset.theme
  })
  return document.createElement("span")
}
