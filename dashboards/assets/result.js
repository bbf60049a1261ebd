// The rows of a query: a table sorted by the server over all rows, and the downloads. All text is set as text.
export function render({ model }) {
  const heads = make("tr", {})
  const body = make("tbody", {})
  const table = make("table", {}, make("thead", {}, heads), body)
  const frame = make("div", { class: "frame", tabindex: "0", role: "region", "aria-label": "Rows" }, table)
  const words = make("p", { role: "status" })
  const saves = ["CSV", "Parquet"].map((form) => {
    const button = make("button", { type: "button" }, `Download ${form}`)
    button.addEventListener("click", () => {
      button.disabled = true
      model.send_msg({ save: form.toLowerCase() })
    })
    return button
  })
  const root = make("div", { class: "result" }, words, frame, make("div", { class: "bar" }, ...saves))

  const name = () => {
    heads.replaceChildren(...model.heads.map(([title, type, kind], n) => {
      const [column, descending] = model.order
      const button = make("button", { type: "button", title: type }, title)
      const order = column !== n ? "none" : descending ? "descending" : "ascending"
      button.addEventListener("click", () => model.send_msg({ sort: n }))
      return make("th", { scope: "col", "aria-sort": order, class: kind }, button)
    }))
  }
  const fill = () => {
    const kinds = model.heads.map(([, , kind]) => kind)
    body.replaceChildren(...model.rows.map((row) => make("tr", {}, ...row.map((text, n) => {
      return text === null ? make("td", { class: `${kinds[n]} null` }, "null") : make("td", { class: kinds[n] }, text)
    }))))
  }
  const tell = () => { words.textContent = model.words }
  model.on("heads", name)
  model.on("order", name)
  model.on("rows", fill)
  model.on("words", tell)
  model.on("msg:custom", (file) => {
    for (const button of saves) button.disabled = false
    const address = URL.createObjectURL(new Blob([file.bytes], { type: file.type }))
    make("a", { href: address, download: file.name }).click()
    setTimeout(() => URL.revokeObjectURL(address), 60_000)
  })
  name()
  fill()
  tell()
  return root
}
