// Moves what is in view of a chart over time, for those who have no wheel: a share of it, or to all of it.
const MOVES = [
  ["◀", "Earlier", (start, end) => [start - (end - start) / 2, end - (end - start) / 2]],
  ["▶", "Later", (start, end) => [start + (end - start) / 2, end + (end - start) / 2]],
  ["+", "Zoom in", (start, end) => [start + (end - start) / 4, end - (end - start) / 4]],
  ["−", "Zoom out", (start, end) => [start - (end - start) / 2, end + (end - start) / 2]],
  ["All", "Show all of the time", () => [-Infinity, Infinity]],
]
function move(chart, to) {
  const models = Bokeh.documents.flatMap((document) => document.roots()).flatMap((root) => [...root.references()])
  const axis = models.find((model) => model.type === "Figure" && model.name === chart)?.x_range
  if (!axis) return
  const [first, last] = axis.bounds
  let [start, end] = to(axis.start, axis.end)
  if (start < first) [start, end] = [first, Math.min(last, end + first - start)]
  if (end > last) [start, end] = [Math.max(first, start + last - end), last]
  axis.setv({ start, end })
}
function buttons(place) {
  for (const [sign, title, to] of MOVES) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: sign, title })
    button.setAttribute("aria-label", title)
    button.addEventListener("click", () => move(place.dataset.chart, to))
    place.append(button)
  }
}

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
  document.querySelectorAll(".moves").forEach(buttons)
  view.model.document.on_event("connection_lost", wait)
  document.getElementById("theme").addEventListener("click", () => {
    page.dataset.theme = page.dataset.theme === "light" ? "dark" : "light"
    model.theme = page.dataset.theme
  })
  // A link within the dashboard keeps the theme of now; those in cards lie in shadow roots.
  document.addEventListener("click", (event) => {
    const link = event.composedPath().find((node) => node.tagName === "A" && node.getAttribute("href")?.startsWith("?"))
    if (!link) return
    const query = new URLSearchParams(link.getAttribute("href"))
    query.set("theme", page.dataset.theme)
    link.setAttribute("href", "?" + query)
  }, true)
  return document.createElement("span")
}
