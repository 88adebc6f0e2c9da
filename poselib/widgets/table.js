// A page of a table: headings sort, rows are chosen, pages turn; all of it by keyboard too.
function render({ model, el }) {
  el.classList.add("poselib-table-box");
  const make = (tag, parent, text = "", name = "") => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (name) made.className = name;
    parent.append(made);
    return made;
  };
  const caption = make("div", el, "", "poselib-title");
  const frame = make("div", el, "", "poselib-scroll");
  const pager = make("div", el, "", "poselib-pager");
  let count = 0, at = 0, keep = false;

  const send = (name, ...values) => {
    model.set(name, [...values, ++count]);
    model.save_changes();
  };
  const turn = (page) => {
    if (page >= 1 && page <= model.get("pages") && page !== model.get("page")) send("turned", page);
  };
  const pick = (id, second) => send("picked", id, second && model.get("pairs"));
  const focus = (rows, next) => {
    at = Math.max(0, Math.min(rows.length - 1, next));
    rows.forEach((row, n) => { row.tabIndex = n === at ? 0 : -1; });
    rows[at]?.focus();
  };
  const keys = (event, rows, n, id) => {
    const moves = { ArrowDown: n + 1, ArrowUp: n - 1, Home: 0, End: rows.length - 1 };
    if (event.target.tagName === "BUTTON") return;
    if (event.key in moves) focus(rows, moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") pick(id, event.shiftKey);
    else if (event.key === "PageDown") turn(model.get("page") + 1);
    else if (event.key === "PageUp") turn(model.get("page") - 1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const head = (table) => {
    const row = make("tr", make("thead", table));
    for (const [name, title, numeric] of model.get("columns")) {
      const cell = make("th", row, "", numeric ? "poselib-number" : "");
      const sorted = name === model.get("order");
      const down = model.get("descending");
      cell.scope = "col";
      cell.ariaSort = sorted ? (down ? "descending" : "ascending") : "none";
      const button = make("button", cell, `${title}${sorted ? (down ? " ▼" : " ▲") : ""}`);
      button.type = "button";
      button.title = `sort by ${title}`;
      button.dataset.column = name;
      button.onclick = () => send("asked", name);
    }
    if (model.get("pairs")) make("th", row);
  };
  const fill = (table) => {
    const body = make("tbody", table);
    const numeric = model.get("columns").map(([, , number]) => number);
    const rows = [];
    model.get("rows").forEach(([id, cells], n) => {
      const row = make("tr", body);
      rows.push(row);
      row.dataset.id = id;
      row.tabIndex = n === Math.min(at, model.get("rows").length - 1) ? 0 : -1;
      const chosen = id === model.get("chosen"), second = id === model.get("second");
      row.ariaSelected = String(chosen || second);
      row.className = chosen ? "poselib-chosen" : second ? "poselib-second" : "";
      cells.forEach((text, c) => { make("td", row, text, numeric[c] ? "poselib-number" : "").title = text; });
      if (model.get("pairs")) {
        const button = make("button", make("td", row), chosen ? "A" : second ? "B" : "compare");
        button.type = "button";
        button.tabIndex = -1;
        button.title = "compare the chosen run (A) with this one (B)";
        button.onclick = (event) => { event.stopPropagation(); pick(id, true); };
      }
      row.onclick = (event) => { keep = true; at = n; pick(id, event.shiftKey); };
      row.onfocus = () => { at = n; };
      row.onkeydown = (event) => keys(event, rows, n, id);
    });
    return rows;
  };
  const draw = () => {
    const focused = document.activeElement;
    const inside = keep || (focused && frame.contains(focused) && focused.tagName === "TR");
    const heading = focused && frame.contains(focused) ? focused.dataset.column : undefined;
    keep = false;
    caption.textContent = model.get("caption");
    frame.replaceChildren();
    pager.replaceChildren();
    const table = make("table", frame, "", "poselib-table");
    table.setAttribute("role", "grid");
    table.setAttribute("aria-label", model.get("caption"));
    head(table);
    const rows = fill(table);
    if (inside && rows.length) focus(rows, at);
    else if (heading) frame.querySelector(`[data-column="${CSS.escape(heading)}"]`)?.focus();
    const [page, pages] = [model.get("page"), model.get("pages")];
    if (pages < 2) return;
    for (const [text, title, to] of [["«", "first page", 1], ["‹", "previous page", page - 1], ["", "", 0], ["›", "next page", page + 1], ["»", "last page", pages]]) {
      if (!text) { make("span", pager, `page ${page} of ${pages}`); continue; }
      const button = make("button", pager, text);
      button.type = "button";
      button.title = button.ariaLabel = title;
      button.disabled = to < 1 || to > pages || to === page;
      button.onclick = () => turn(to);
    }
  };
  let waiting = false;
  const later = () => { // once for all attributes of a message
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => { waiting = false; draw(); });
  };
  for (const name of ["columns", "rows", "chosen", "second", "order", "descending", "page", "pages", "caption", "pairs"]) model.on(`change:${name}`, later);
  draw();
}
export default { render };
