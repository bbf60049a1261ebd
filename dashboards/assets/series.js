// The table of series. A row that stays is kept as it is, so that focus and scrolling stay; ages are counted each second.
export function render({ model }) {
  const lateness = make("p", { class: "lateness" })
  const heads = make("tr", {})
  const body = make("tbody", {})
  const more = make("p", { class: "muted more" })
  const table = make("table", { class: "listing series" }, make("thead", {}, heads), body)
  const root = make("div", {}, lateness, make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "The table of series" }, table), more)
  const kept = new Map()

  const address = (id) => {
    const query = new URLSearchParams(location.search)
    query.set("series", id)
    return "?" + query
  }
  const build = (series) => {
    const link = make("a", { href: address(series.id) })
    const cells = model.heads.map(({ number }) => make("td", number ? { class: "number" } : {}))
    const row = make("tr", { "data-series": series.id }, ...cells)
    cells[0].append(link)
    const fresh = make("span", {})
    cells[1].append(fresh)
    row.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return
      event.preventDefault()
      model.picked = series.id
    })
    return { row, link, cells, fresh, series }
  }
  const fill = (entry, series) => {
    entry.series = series
    const [name, ...others] = series.cells
    entry.link.textContent = name
    others.forEach((text, n) => {
      const cell = entry.cells[n + 2]
      if (cell.textContent !== text) cell.textContent = text
    })
  }
  const mark = () => {
    for (const [id, { row, link }] of kept) {
      row.classList.toggle("picked", id === model.picked)
      if (id === model.picked) link.setAttribute("aria-current", "true")
      else link.removeAttribute("aria-current")
    }
  }
  const tick = () => {
    const now = Date.now()
    for (const { fresh, series } of kept.values()) write(fresh, standing(series, now))
    const late = model.late.filter((at) => at <= now).length
    const waiting = model.late.length
    lateness.textContent = waiting === 0 ? "" : late === 0 ? "No series is late." : `${late.toLocaleString("en")} of ${waiting.toLocaleString("en")} series ${late === 1 ? "is" : "are"} late by a candle or more.`
    lateness.className = `lateness ${late > 0 ? "bad" : "good"}`
  }
  const draw = () => {
    const wanted = model.rows.map(({ id }) => id)
    for (const [id, { row }] of kept) if (!wanted.includes(id)) { row.remove(); kept.delete(id) }
    model.rows.forEach((series, n) => {
      if (!kept.has(series.id)) kept.set(series.id, build(series))
      const entry = kept.get(series.id)
      fill(entry, series)
      if (body.children[n] !== entry.row) body.insertBefore(entry.row, body.children[n] ?? null)
    })
    const left = model.found - model.rows.length
    more.textContent = model.found === 0 ? "No series has these words." : left > 0 ? `and ${left.toLocaleString("en")} more: type above to search` : ""
    mark()
    tick()
  }
  const title = () => {
    const falling = model.order.startsWith("-")
    const key = falling ? model.order.slice(1) : model.order
    heads.replaceChildren(
      ...model.heads.map((head) => {
        const button = make("button", { type: "button", title: head.meaning, "data-key": head.key }, head.title)
        button.addEventListener("click", () => {
          model.order = model.order === head.key ? `-${head.key}` : head.key
          heads.querySelector(`[data-key=${head.key}]`)?.focus()
        })
        const sorted = head.key !== key ? "none" : falling ? "descending" : "ascending"
        return make("th", { scope: "col", "aria-sort": sorted, ...(head.number ? { class: "number" } : {}) }, button)
      }),
    )
  }
  model.on("rows", draw)
  model.on("found", draw)
  model.on("picked", mark)
  model.on("late", tick)
  model.on("order", title)
  title()
  draw()
  setInterval(tick, 1000)
  return root
}
