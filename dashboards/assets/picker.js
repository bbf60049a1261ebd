// A box to search runs and pick one: an ARIA combobox with a list. All text is set as text, never as HTML.
export function render({ model }) {
  const box = make("input", {
    type: "text", role: "combobox", spellcheck: "false", autocomplete: "off", placeholder: "No runs yet",
    "aria-label": model.purpose, "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": "runs",
  })
  const list = make("ul", { id: "runs", role: "listbox", "aria-label": "Runs, newest first" })
  const root = make("div", { class: "picker" }, box, list)
  list.hidden = true
  let active = -1
  let timer = 0

  const label = (run) => [run.title, run.details, run.where].filter(Boolean).join("  ·  ")
  const open = () => !list.hidden
  const rest = () => {
    box.value = model.label
    box.placeholder = model.purpose !== "Run" ? model.purpose : model.runs.length ? "Search runs" : "No runs yet"
  }
  const mark = (to) => {
    const options = list.querySelectorAll("[role=option]")
    options[active]?.classList.remove("active")
    active = Math.max(0, Math.min(to, options.length - 1))
    options[active]?.classList.add("active")
    options[active]?.scrollIntoView({ block: "nearest" })
    if (options[active]) box.setAttribute("aria-activedescendant", options[active].id)
  }
  const show = (shown) => {
    list.hidden = !shown
    box.setAttribute("aria-expanded", String(shown))
    if (!shown) box.removeAttribute("aria-activedescendant")
  }
  const pick = (run) => {
    if (run === undefined) return
    show(false)
    model.run = run.id
    box.value = label(run)
    box.blur()
  }
  const draw = () => {
    list.replaceChildren(
      ...model.runs.map((run, n) => {
        const option = make(
          "li",
          { id: `run-${n}`, role: "option", "aria-selected": String(run.id === model.run), "data-run": run.id },
          make("span", { class: "title" }, run.title),
          make("span", { class: "details" }, run.details),
          make("span", { class: "where" }, `${run.where}  ·  ${run.when}  ·  ${run.id}`),
        )
        option.addEventListener("pointerdown", (event) => event.preventDefault())
        option.addEventListener("click", () => pick(run))
        return option
      }),
    )
    const more = model.found - model.runs.length
    if (more > 0) list.append(make("li", { class: "more" }, `and ${more.toLocaleString("en")} more: type to search`))
    if (!model.runs.length && model.search) list.append(make("li", { class: "more" }, "No run has these words"))
    if (open()) mark(Math.max(0, model.runs.findIndex((run) => run.id === model.run)))
  }

  box.addEventListener("focus", () => box.select())
  box.addEventListener("click", () => { if (!open()) { show(true); draw() } })
  box.addEventListener("input", () => {
    if (!open()) show(true)
    clearTimeout(timer)
    timer = setTimeout(() => { model.search = box.value }, 120)
  })
  box.addEventListener("blur", () => { show(false); clearTimeout(timer); model.search = ""; rest() })
  box.addEventListener("keydown", (event) => {
    const moves = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + 8, PageUp: active - 8 }
    if (event.key in moves) {
      if (open()) mark(moves[event.key])
      else { show(true); draw() }
    } else if (event.key === "Enter" && open()) pick(model.runs[active])
    else if (event.key === "Escape" && open()) { show(false); rest(); box.select() }
    else return
    event.preventDefault()
  })
  model.on("runs", () => { draw(); if (document.activeElement !== box && !root.matches(":focus-within")) rest() })
  model.on("label", () => { if (!root.matches(":focus-within")) rest() })
  draw()
  rest()
  return root
}
