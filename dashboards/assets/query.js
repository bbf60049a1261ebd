// A box to write a query in, with examples to begin from and the views whose names a click inserts.
// All text is set as text, never as HTML.
export function render({ model }) {
  const box = make("textarea", {
    "aria-label": "SQL query", "aria-describedby": "hint", rows: "9", spellcheck: "false", autocapitalize: "off",
    autocomplete: "off", wrap: "off", placeholder: "SELECT ...",
  })
  const run = make("button", { type: "button", class: "run", title: "Ctrl+Enter" }, "Run")
  const stop = make("button", { type: "button" }, "Stop")
  const examples = make("select", { "aria-label": "Examples" }, make("option", { value: "" }, "Examples"))
  const keys = make("span", { class: "keys" }, make("kbd", {}, "Ctrl"), "+", make("kbd", {}, "Enter"), " runs")
  const hint = make("p", { id: "hint", role: "status" })
  const views = make("ul", { class: "views", "aria-label": "Views" })
  const editor = make("div", { class: "editor" }, box, make("div", { class: "bar" }, run, stop, examples, keys), hint)
  const root = make("div", { class: "query" }, editor, make("div", { class: "lake" }, make("h3", {}, "Views"), views))
  let typing = 0
  let since = 0
  let ticking = 0

  const keep = () => { clearTimeout(typing); if (model.sql !== box.value) model.sql = box.value }
  const start = () => {
    if (run.disabled) return
    run.disabled = true  // at once, not only when the server says that it runs
    keep()
    model.send_msg({ run: box.value })
  }
  const insert = (text) => {
    box.setRangeText(text, box.selectionStart, box.selectionEnd, "end")
    box.focus()
    keep()
  }
  const name = (text, meaning, ...children) => {
    const button = make("button", { type: "button", class: "name", title: meaning }, text, ...children)
    button.addEventListener("click", () => insert(text))
    return button
  }
  const list = () => {
    views.replaceChildren(...model.views.map((view, n) => {
      const columns = make("ul", { id: `view-${n}` }, ...view.columns.map((column) => make("li", {},
        name(column.name, column.meaning, make("small", {}, column.type)))))
      const fold = make("button", {
        type: "button", class: "fold", "aria-expanded": "false", "aria-controls": `view-${n}`,
        "aria-label": `Columns of ${view.name}`,
      })
      columns.hidden = true
      fold.addEventListener("click", () => {
        columns.hidden = !columns.hidden
        fold.setAttribute("aria-expanded", String(!columns.hidden))
      })
      return make("li", {}, fold, name(view.name, view.meaning), columns)
    }))
  }
  const offer = () => examples.replaceChildren(
    make("option", { value: "" }, "Examples"),
    ...model.examples.map((example, n) => make("option", { value: String(n) }, example.title)),
  )
  const tell = () => {
    run.disabled = model.running
    stop.disabled = !model.running
    clearInterval(ticking)
    hint.textContent = model.hint
    if (!model.running) return
    since = Date.now()
    ticking = setInterval(() => { hint.textContent = `Running, ${Math.round((Date.now() - since) / 1000)} s` }, 1000)
  }

  box.value = model.sql
  box.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(keep, 400) })
  box.addEventListener("change", keep)
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    start()
  })
  run.addEventListener("click", start)
  stop.addEventListener("click", () => model.send_msg({ stop: true }))
  examples.addEventListener("change", () => {
    const example = model.examples[Number(examples.value)]
    examples.value = ""
    if (example === undefined) return
    box.value = example.sql
    keep()
    box.focus()
  })
  model.on("views", list)
  model.on("examples", offer)
  model.on("running", tell)
  model.on("ended", tell)  // of a query that begins and ends within one message, `running` says nothing
  model.on("hint", tell)
  list()
  offer()
  tell()
  return root
}
