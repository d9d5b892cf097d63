// A table of cases that sorts, and a scatter of the same cases. Sorting, pointing and moving about are done here;
// the kernel hears of the case that is opened.

const SVG = "http://www.w3.org/2000/svg";
const FRAME = { width: 470, height: 350, left: 62, right: 12, top: 34, bottom: 48, band: 46 };
const SIZE = 5.5; // pixels from the middle of a point to its rim

function svg(tag, parent, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}

// At most about six round numbers that cover what lies between low and high.
function ticks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((s) => s >= rough);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, n) => Number(((first + n) * step).toPrecision(12)));
}

function scale(values) {
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  return ticks(low, high > low ? high : low + 1);
}

function outline(shape, x, y) {
  const s = SIZE;
  const corners = {
    square: [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([a, b]) => [0.85 * a, 0.85 * b]),
    diamond: [[0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]],
    triangle: [[0, -1.2], [1.15, 0.9], [-1.15, 0.9]],
  }[shape];
  if (corners) return `M${corners.map(([a, b]) => `${x + s * a},${y + s * b}`).join("L")}Z`;
  return `M${x - s},${y}a${s},${s} 0 1,0 ${2 * s},0a${s},${s} 0 1,0 ${-2 * s},0Z`;
}

class Cases {
  constructor(model, root) {
    this.model = model;
    root.classList.add("ssmis-cases");
    this.list = make("div", "ssmis-case-list", root);
    this.picture = svg("svg", root, { class: "ssmis-scatter", width: FRAME.width, height: FRAME.height, role: "group" });
    this.heard = [
      ["change:rows change:columns change:sort", () => this.fill()],
      ["change:points change:axes change:series", () => this.draw()],
      ["change:selected", () => this.mark()],
    ];
    for (const [names, callback] of this.heard) for (const name of names.split(" ")) model.on(name, callback);
    this.fill();
    this.draw();
  }

  close() {
    for (const [names, callback] of this.heard) for (const name of names.split(" ")) this.model.off(name, callback);
  }

  open(name) {
    this.model.set("selected", name);
    this.model.save_changes();
  }

  order() {
    const { column = -1, descending = false } = this.model.get("sort");
    const rows = [...this.model.get("rows")];
    const key = (row) => (column < 0 ? row.case : row.cells[column][1]);
    const known = rows.filter((row) => key(row) !== null);
    const sign = descending ? -1 : 1;
    known.sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    return [...known, ...rows.filter((row) => key(row) === null)];
  }

  fill() {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset : null;
    const sort = this.model.get("sort");
    const table = make("table", "", null);
    table.setAttribute("aria-label", "test cases");
    const head = make("tr", "", make("thead", "", table));
    ["case", ...this.model.get("columns")].forEach((title, place) => {
      const column = place - 1;
      const cell = make("th", "", head);
      const sorted = (sort.column ?? -1) === column;
      cell.setAttribute("aria-sort", !sorted ? "none" : sort.descending ? "descending" : "ascending");
      const arrow = !sorted ? "" : sort.descending ? " ▼" : " ▲";
      const button = make("button", "", cell, { textContent: title + arrow, type: "button" });
      button.dataset.column = column;
      button.addEventListener("click", () => this.sortBy(column));
      button.addEventListener("keydown", (event) => event.stopPropagation()); // or the notebook takes the key
    });
    const body = make("tbody", "", table);
    this.rows = new Map();
    for (const row of this.order()) {
      const line = make("tr", "", body, { tabIndex: -1 });
      line.dataset.case = row.case;
      make("td", "", line, { textContent: row.case });
      for (const [text] of row.cells) make("td", "", line, { textContent: text });
      line.addEventListener("click", () => this.open(row.case));
      line.addEventListener("focus", () => this.point(row.case));
      line.addEventListener("mouseenter", () => this.point(row.case));
      line.addEventListener("keydown", (event) => this.keyInList(event, line));
      this.rows.set(row.case, line);
    }
    this.list.replaceChildren(table);
    this.mark();
    if (focused?.column !== undefined) this.list.querySelector(`button[data-column="${focused.column}"]`)?.focus();
  }

  sortBy(column) {
    const sort = this.model.get("sort");
    const again = (sort.column ?? -1) === column;
    this.model.set("sort", { column, descending: again ? !sort.descending : false });
    this.model.save_changes();
  }

  keyInList(event, line) {
    const lines = [...this.rows.values()];
    const at = lines.indexOf(line);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: lines.length - 1 };
    if (event.key in moves) {
      const next = lines[clamp(moves[event.key], 0, lines.length - 1)];
      line.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") this.open(line.dataset.case);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The open case in table and scatter.
  mark() {
    const selected = this.model.get("selected");
    for (const [name, line] of this.rows) {
      line.setAttribute("aria-selected", name === selected);
      line.tabIndex = name === selected ? 0 : -1;
    }
    if (!this.rows.has(selected)) for (const line of [...this.rows.values()].slice(0, 1)) line.tabIndex = 0;
    const line = this.rows.get(selected); // not scrollIntoView, which would move the notebook too
    if (line) {
      const head = this.list.querySelector("thead").offsetHeight;
      const [top, bottom] = [line.offsetTop - head, line.offsetTop + line.offsetHeight];
      if (top < this.list.scrollTop) this.list.scrollTop = top;
      else if (bottom > this.list.scrollTop + this.list.clientHeight) this.list.scrollTop = bottom - this.list.clientHeight;
    }
    for (const point of this.dots ?? []) point.setAttribute("aria-pressed", point.dataset.case === selected);
  }

  // The case that the mouse or the focus is on.
  point(name) {
    for (const [other, line] of this.rows) line.classList.toggle("ssmis-pointed", other === name);
    for (const dot of this.dots ?? []) dot.classList.toggle("ssmis-pointed", dot.dataset.case === name);
  }

  draw() {
    const { width, height, left, right, top, bottom, band } = FRAME;
    const points = this.model.get("points").filter((point) => point.y !== null);
    const { x: xTitle = "", y: yTitle = "", band: bandTitle = "" } = this.model.get("axes");
    const lost = points.some((point) => point.x === null);
    const end = width - right - (lost ? band : 0);
    const xs = scale(points.map((point) => point.x).filter((x) => x !== null));
    const ys = scale(points.map((point) => point.y));
    const [x0, x1, y0, y1] = [xs[0], xs.at(-1), ys[0], ys.at(-1)];
    const across = (x) => (x === null ? width - right - band / 2 : left + 8 + ((x - x0) / (x1 - x0)) * (end - left - 16));
    const up = (y) => height - bottom - 8 - ((y - y0) / (y1 - y0)) * (height - top - bottom - 16);
    this.picture.replaceChildren();
    this.picture.setAttribute("aria-label", `${yTitle} against ${xTitle}, a point a case`);
    const line = (x, y, u, v) => svg("line", this.picture, { class: "ssmis-grid", x1: x, y1: y, x2: u, y2: v });
    const text = (words, attributes) => (svg("text", this.picture, attributes).textContent = words);
    for (const x of xs) {
      line(across(x), top, across(x), height - bottom);
      text(x, { x: across(x), y: height - bottom + 16, "text-anchor": "middle" });
    }
    for (const y of ys) {
      line(left, up(y), end, up(y));
      text(y, { x: left - 6, y: up(y) + 4, "text-anchor": "end" });
    }
    text(xTitle, { x: (left + end) / 2, y: height - 10, "text-anchor": "middle" });
    text(yTitle, { x: 0, y: 0, "text-anchor": "middle", transform: `translate(16 ${(top + height - bottom) / 2}) rotate(-90)` });
    if (lost) {
      line(end + 2, top, end + 2, height - bottom);
      text(bandTitle, { x: width - right - band / 2, y: height - bottom + 16, "text-anchor": "middle" });
    }
    this.legend();
    const side = (point) => (point.series - (this.model.get("series").length - 1) / 2) * 13; // or one would hide another
    const at = (point) => [across(point.x) + (point.x === null ? side(point) : 0), up(point.y)];
    this.pairs(points, at);
    this.dots = [...points].sort((a, b) => at(a)[0] - at(b)[0]).map((point) => this.dot(point, ...at(point)));
    if (this.dots.length) this.dots[0].setAttribute("tabindex", 0);
    this.mark();
  }

  legend() {
    let x = FRAME.left;
    for (const { name, colour, shape } of this.model.get("series")) {
      svg("path", this.picture, { d: outline(shape, x + 6, 14), fill: colour });
      const words = svg("text", this.picture, { x: x + 17, y: 18 });
      words.textContent = name;
      x += 40 + (words.getComputedTextLength?.() || 7 * name.length);
    }
  }

  // A line between the points of one case, where several runs are shown.
  pairs(points, at) {
    const cases = new Map();
    for (const point of points) cases.set(point.case, [...(cases.get(point.case) ?? []), point]);
    for (const [first, ...others] of cases.values()) {
      for (const other of others) {
        const [[x1, y1], [x2, y2]] = [at(first), at(other)];
        svg("line", this.picture, { class: "ssmis-pair", x1, y1, x2, y2 });
      }
    }
  }

  dot(point, x, y) {
    const { name, colour, shape } = this.model.get("series")[point.series];
    const { x: xTitle, y: yTitle, band } = this.model.get("axes");
    const told = point.x === null ? band : `${xTitle} ${point.x.toPrecision(3)}`;
    const words = `${point.case}, ${name}: ${yTitle} ${point.y.toPrecision(3)}, ${told}`;
    const attributes = { class: "ssmis-point", d: outline(shape, x, y), fill: colour };
    const dot = svg("path", this.picture, { ...attributes, role: "button", tabindex: -1, "aria-label": words });
    dot.dataset.case = point.case;
    dot.dataset.series = point.series;
    svg("title", dot).textContent = words;
    dot.addEventListener("click", () => this.open(point.case));
    dot.addEventListener("focus", () => this.point(point.case));
    dot.addEventListener("mouseenter", () => this.point(point.case));
    dot.addEventListener("keydown", (event) => this.keyOnDot(event, dot));
    return dot;
  }

  keyOnDot(event, dot) {
    const at = this.dots.indexOf(dot);
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) {
      const next = this.dots[clamp(at + step, 0, this.dots.length - 1)];
      dot.setAttribute("tabindex", -1);
      next.setAttribute("tabindex", 0);
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") this.open(dot.dataset.case);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export default {
  render({ model, el }) {
    const cases = new Cases(model, el);
    return () => cases.close();
  },
};
