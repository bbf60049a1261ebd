// Sessions, a card each: what is there stays, so that focus and scrolling stay; ages are counted each second.
// All text is set as text, never as HTML.
export function render({ model }) {
  const root = make("nav", { class: "sessions", "aria-label": "Sessions" })
  const more = make("p", { class: "muted more" })
  const whole = make("div", {}, root, more)
  const kept = new Map()

  const build = (id) => {
    const query = { page: "live", run: id, theme: document.documentElement.dataset.theme }
    const link = make("a", { href: "?" + new URLSearchParams(query), "data-run": id })
    const parts = {}
    for (const name of ["mode", "market", "strategy", "equity", "gain", "position", "age"]) {
      parts[name] = make("span", { class: name })
    }
    const { mode, market, strategy, equity, gain, position, age } = parts
    link.append(
      make("span", { class: "line" }, market, mode), strategy, equity, gain, position, age,
    )
    link.addEventListener("click", (event) => {
      if (event.metaKey || event.ctrlKey || event.shiftKey) return
      event.preventDefault()
      model.picked = id
    })
    return { link, parts, session: null }
  }
  const put = (element, text) => { if (element.textContent !== text) element.textContent = text }
  const fill = (entry, session) => {
    const { mode, market, strategy, equity, gain, position } = entry.parts
    entry.session = session
    put(mode, session.mode)
    mode.className = `badge ${session.mode}`
    put(market, session.market)
    put(strategy, session.strategy)
    put(equity, session.equity)
    put(gain, `${session.day} ${session.gain}`)
    gain.className = `gain ${session.tone}`
    put(position, `holds ${session.position}`)
  }
  const health = (session, now) => {
    if (session.closed === null) return { tone: "muted", state: "new", words: "no candle yet" }
    const told = standing(session, now)
    return session.stopped ? { tone: "bad", state: "stopped", words: `not trading: ${session.stopped}` } : told
  }
  const tick = () => {
    const now = Date.now()
    for (const { parts, session } of kept.values()) write(parts.age, health(session, now))
  }
  const mark = () => {
    for (const [id, { link }] of kept) {
      if (id === model.picked) link.setAttribute("aria-current", "true")
      else link.removeAttribute("aria-current")
    }
  }
  const reveal = () => {
    const link = kept.get(model.picked)?.link
    if (link) root.scrollLeft = link.offsetLeft - root.offsetLeft
  }
  const draw = () => {
    const ids = model.sessions.map((session) => session.id)
    for (const id of kept.keys()) if (!ids.includes(id)) kept.delete(id)
    for (const session of model.sessions) {
      if (!kept.has(session.id)) kept.set(session.id, build(session.id))
      fill(kept.get(session.id), session)
    }
    const links = ids.map((id) => kept.get(id).link)
    if (links.length !== root.children.length || links.some((link, n) => link !== root.children[n])) {
      root.replaceChildren(...links)
    }
    const left = model.found - ids.length
    put(more, left > 0 ? `and ${left.toLocaleString("en")} more: search them above` : "")
    mark()
    tick()
  }
  for (const name of ["sessions", "found"]) model.on(name, draw)
  model.on("picked", () => { mark(); reveal() })
  const timer = setInterval(tick, 1000)
  model.on("remove", () => clearInterval(timer))
  draw()
  requestAnimationFrame(reveal)
  return whole
}
