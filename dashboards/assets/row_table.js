// A page of rows: filter, sorting by a heading, pages, a row to pick, downloads. All text is set as text, never as HTML.
export function render({ model }) {
  const text = make("input", { type: "search", placeholder: "Filter by text", "aria-label": `Filter ${model.label}`, spellcheck: "false" })
  const count = make("span", { class: "count", role: "status" })
  const before = make("button", { type: "button" }, "Previous")
  const after = make("button", { type: "button" }, "Next")
  const heads = make("tr", {})
  const body = make("tbody", {})
  const scroll = make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": model.label },
    make("table", {}, make("thead", {}, heads), body))
  const saves = ["CSV", "Parquet"].map((form) => {
    const button = make("button", { type: "button" }, `Download ${form}`)
    button.addEventListener("click", () => {
      button.disabled = true
      model.send_msg({ save: form.toLowerCase() })
    })
    return button
  })
  const root = make("div", { class: model.picks ? "rows picks" : "rows" },
    make("div", { class: "tools" }, text, count, make("span", { class: "pages" }, before, after)), scroll,
    make("div", { class: "pages saves" }, ...saves))
  let timer = 0

  const pick = (row) => {
    model.picked = row.id === model.picked ? "" : row.id
    if (model.picked) document.getElementById(model.leads)?.scrollIntoView({ block: "start" })
  }
  const line = (row) => {
    const cells = row.cells.map((cell, n) => {
      const [words, tone, address] = Array.isArray(cell) ? cell : [cell, ""]
      const first = n === 0 && model.picks
      const content = address ? make("a", { href: address }, words) : first ? make("button", { type: "button", "aria-pressed": String(row.id === model.picked) }, words) : words
      const { kind, key } = model.heads[n] ?? { kind: "", key: "" }  // the heads of other rows may come after these
      return make("td", { class: `${kind} ${tone}`, "data-column": key }, content)
    })
    const made = make("tr", { "data-row": row.id }, ...cells)
    if (model.picks) made.addEventListener("click", () => pick(row))
    return made
  }
  const draw = () => {
    const first = model.page * model.size
    const number = (value) => value.toLocaleString("en")
    count.textContent = model.found
      ? `${number(first + 1)} to ${number(first + model.rows.length)} of ${number(model.found)}`
      : model.text ? "No row has these words" : "There are none"
    before.disabled = model.page === 0
    after.disabled = first + model.rows.length >= model.found
    scroll.hidden = !model.rows.length
    for (const button of saves) button.hidden = !model.found
    const held = root.getRootNode().activeElement?.closest("tr")?.dataset.row
    body.replaceChildren(...model.rows.map(line))
    if (held) body.querySelector(`[data-row="${CSS.escape(held)}"] button`)?.focus()
  }
  const mark = () => {
    for (const row of body.rows)
      row.querySelector("button")?.setAttribute("aria-pressed", String(row.dataset.row === model.picked))
  }
  const title = () => {
    const falls = model.order.startsWith("-")
    const key = falls ? model.order.slice(1) : model.order
    const focused = root.getRootNode().activeElement?.dataset.key
    heads.replaceChildren(...model.heads.map((head) => {
      const button = make("button", { type: "button", "data-key": head.key }, head.title)
      button.addEventListener("click", () => { model.order = model.order === head.key ? `-${head.key}` : head.key })
      const sorted = head.key !== key ? "none" : falls ? "descending" : "ascending"
      return make("th", { scope: "col", class: head.kind, "aria-sort": sorted }, button)
    }))
    if (focused) heads.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus()
  }

  text.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(() => { model.text = text.value }, 200)
  })
  before.addEventListener("click", () => { model.page -= 1; scroll.scrollTop = 0 })
  after.addEventListener("click", () => { model.page += 1; scroll.scrollTop = 0 })
  for (const name of ["rows", "found", "page", "heads"]) model.on(name, draw)
  for (const name of ["order", "heads"]) model.on(name, title)
  model.on("picked", mark)
  model.on("text", () => { if (root.getRootNode().activeElement !== text) text.value = model.text })
  model.on("msg:custom", (file) => {
    for (const button of saves) button.disabled = false
    const address = URL.createObjectURL(new Blob([file.bytes], { type: file.type }))
    make("a", { href: address, download: file.name }).click()
    setTimeout(() => URL.revokeObjectURL(address), 60_000)
  })
  text.value = model.text
  title()
  draw()
  return root
}
