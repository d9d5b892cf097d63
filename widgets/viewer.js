// Three linked planes of a volume on canvases. The volume and its overlays come once, as bytes; scrolling, windowing,
// opacity and the crosshair are worked out here, without asking the kernel.

const PLANES = [
  { name: "axial", across: 0, up: 1, through: 2 },
  { name: "coronal", across: 0, up: 2, through: 1 },
  { name: "sagittal", across: 1, up: 2, through: 0 },
];
const AXES = ["x", "y", "z"];
const SIDE = 250; // pixels of a plane's longer side

function make(tag, className, parent, properties = {}) {
  const element = document.createElement(tag);
  element.className = className;
  Object.assign(element, properties);
  parent?.append(element);
  return element;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

class Plane {
  constructor(viewer, geometry, parent) {
    Object.assign(this, { viewer, ...geometry });
    const [w, h] = this.size();
    const [dx, dy] = [viewer.spacing[this.across], viewer.spacing[this.up]];
    const scale = SIDE / Math.max(w * dx, h * dy);
    this.box = make("figure", "ssmis-plane", parent);
    const [wide, high] = [Math.round(w * dx * scale), Math.round(h * dy * scale)];
    const sharp = window.devicePixelRatio || 1;
    const size = { width: Math.round(wide * sharp), height: Math.round(high * sharp) };
    this.canvas = make("canvas", "ssmis-canvas", this.box, { ...size, tabIndex: 0 });
    this.canvas.style.width = `${wide}px`;
    this.canvas.style.height = `${high}px`;
    this.canvas.dataset.plane = this.name;
    this.canvas.setAttribute("role", "img");
    this.cross = [make("div", "ssmis-cross", this.box), make("div", "ssmis-cross", this.box)];
    this.caption = make("figcaption", "ssmis-caption", this.box);
    this.slider = make("input", "ssmis-slice", this.box, { type: "range", min: 0, max: viewer.shape[this.through] - 1 });
    this.slider.hidden = viewer.shape[this.through] === 1;
    this.slider.setAttribute("aria-label", `${this.name} slice, along ${AXES[this.through]}`);
    this.context = this.canvas.getContext("2d");
    this.context.imageSmoothingEnabled = false; // a voxel stays a voxel
    this.small = make("canvas", "", null, { width: w, height: h });
    this.pixels = this.small.getContext("2d").createImageData(w, h);
    this.listen();
  }

  size() {
    return [this.viewer.shape[this.across], this.viewer.shape[this.up]];
  }

  listen() {
    const { canvas, viewer } = this;
    const point = (event) => {
      const frame = canvas.getBoundingClientRect();
      const [w, h] = this.size();
      const x = Math.floor(((event.clientX - frame.left) / frame.width) * w);
      const y = h - 1 - Math.floor(((event.clientY - frame.top) / frame.height) * h); // the second axis points up
      viewer.move({ [this.across]: x, [this.up]: y });
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      canvas.focus();
      point(event);
    });
    canvas.addEventListener("pointermove", (event) => canvas.hasPointerCapture(event.pointerId) && point(event));
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      viewer.step(this.through, -Math.sign(event.deltaY));
    });
    canvas.addEventListener("keydown", (event) => {
      const moves = {
        ArrowLeft: [this.across, -1],
        ArrowRight: [this.across, 1],
        ArrowDown: [this.up, -1],
        ArrowUp: [this.up, 1],
        PageDown: [this.through, -1],
        PageUp: [this.through, 1],
      };
      if (event.key in moves) viewer.step(...moves[event.key]);
      else if (event.key.toLowerCase() === "o") viewer.toggleOverlays();
      else return;
      event.preventDefault();
      event.stopPropagation(); // or the notebook takes the key as its own
    });
    this.slider.addEventListener("input", () => viewer.move({ [this.through]: Number(this.slider.value) }));
    this.slider.addEventListener("keydown", (event) => event.stopPropagation());
  }

  draw() {
    const { viewer, pixels, context, canvas } = this;
    const [w, h] = this.size();
    const at = viewer.cursor[this.through];
    pixels.data.fill(0);
    const shown = [...viewer.layers.values()].filter((layer) => layer.visible && layer.values);
    for (const layer of shown) if (!layer.outline) this.fill(layer, pixels.data, w, h);
    this.small.getContext("2d").putImageData(pixels, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.small, 0, 0, canvas.width, canvas.height);
    for (const layer of shown) if (layer.outline) this.stroke(layer, w, h);
    const [cx, cy] = [viewer.cursor[this.across], viewer.cursor[this.up]];
    const { offsetLeft: left, offsetTop: top, clientWidth: width, clientHeight: height } = this.canvas;
    const [vertical, horizontal] = this.cross;
    Object.assign(vertical.style, { left: `${left + ((cx + 0.5) / w) * width}px`, top: `${top}px`, height: `${height}px`, width: "1px" });
    Object.assign(horizontal.style, { left: `${left}px`, top: `${top + (1 - (cy + 0.5) / h) * height}px`, width: `${width}px`, height: "1px" });
    this.slider.value = at;
    this.caption.textContent = this.slider.hidden
      ? `${AXES[this.across]} to the right, ${AXES[this.up]} up`
      : `${this.name}, ${AXES[this.through]} = ${at} of ${viewer.shape[this.through] - 1}`;
    this.canvas.setAttribute("aria-label", `${viewer.title}: ${this.caption.textContent}; ${viewer.described()}`);
  }

  // Where the slice's pixel (column, row from below) lies in a layer's values: start + column * along + row * upward.
  layout() {
    const { strides, cursor } = this.viewer;
    return [cursor[this.through] * strides[this.through], strides[this.across], strides[this.up]];
  }

  fill({ values, table, opacity }, out, w, h) {
    const [start, along, upward] = this.layout();
    for (let row = 0; row < h; row++) {
      const base = start + (h - 1 - row) * upward;
      let o = row * w * 4;
      for (let column = 0; column < w; column++, o += 4) {
        const entry = 4 * values[base + column * along];
        const alpha = (table[entry + 3] / 255) * opacity;
        if (alpha === 0) continue;
        out[o] += (table[entry] - out[o]) * alpha;
        out[o + 1] += (table[entry + 1] - out[o + 1]) * alpha;
        out[o + 2] += (table[entry + 2] - out[o + 2]) * alpha;
        out[o + 3] = 255;
      }
    }
  }

  // A line along every side that a voxel shares with one of another class, in the colour of the higher class.
  stroke({ values, table, opacity, dashed }, w, h) {
    const [start, along, upward] = this.layout();
    const [dx, dy] = [this.canvas.width / w, this.canvas.height / h];
    const paths = new Map();
    const side = (value, other, x0, y0, x1, y1) => {
      if (value === other) return;
      const key = Math.max(value, other);
      if (!paths.has(key)) paths.set(key, new Path2D());
      paths.get(key).moveTo(x0, y0);
      paths.get(key).lineTo(x1, y1);
    };
    for (let row = 0; row < h; row++) {
      for (let column = 0; column < w; column++) {
        const index = start + column * along + row * upward;
        const value = values[index];
        const [left, top, right, bottom] = [column * dx, (h - 1 - row) * dy, (column + 1) * dx, (h - row) * dy];
        if (column < w - 1) side(value, values[index + along], right, top, right, bottom);
        if (row < h - 1) side(value, values[index + upward], left, top, right, top);
      }
    }
    this.context.lineWidth = 2 * (window.devicePixelRatio || 1);
    this.context.globalAlpha = opacity;
    this.context.setLineDash(dashed ? [4, 3] : []);
    for (const [value, path] of paths) {
      const [red, green, blue] = table.slice(4 * value, 4 * value + 3);
      this.context.strokeStyle = `rgb(${red}, ${green}, ${blue})`;
      this.context.stroke(path);
    }
    this.context.globalAlpha = 1;
  }
}

class View {
  constructor(model, root) {
    this.model = model;
    this.shape = model.get("shape");
    this.spacing = model.get("spacing");
    this.title = model.get("title");
    this.strides = [this.shape[1] * this.shape[2], this.shape[2], 1];
    this.layers = new Map();
    this.root = root;
    root.classList.add("ssmis-viewer");
    this.heading = make("div", "ssmis-title", root, { textContent: this.title });
    const row = make("div", "ssmis-planes", root);
    const flat = this.shape[2] === 1;
    this.planes = PLANES.slice(0, flat ? 1 : 3).map((geometry) => new Plane(this, geometry, row));
    this.readout = make("div", "ssmis-readout", root);
    this.readout.setAttribute("aria-live", "polite");
    this.controls = make("div", "ssmis-controls", root);
    this.cursor = [...model.get("cursor")];
    this.scheduled = false;
    this.heard = [
      ["change:cursor", () => this.take(model.get("cursor"))],
      ["change:window", () => this.rewindow()],
      ["change:looks", () => this.relook()],
      ["change:title", () => this.retitle()],
      ["msg:custom", (content, buffers) => this.receive(content, buffers)],
    ];
    for (const [name, callback] of this.heard) model.on(name, callback);
    model.send({ type: "ready" });
  }

  close() {
    for (const [name, callback] of this.heard) this.model.off(name, callback);
    this.layers.clear();
  }

  receive(content, buffers) {
    if (content.type === "remove") this.layers.delete(content.name);
    if (content.type === "layer") {
      const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      const known = this.layers.get(content.name);
      this.layers.set(content.name, { ...known, ...content, values: bytes(buffers[0]), colours: bytes(buffers[1]) });
      this.rewindow();
    }
    this.relook();
    this.listLayers();
  }

  retitle() {
    this.title = this.model.get("title");
    this.heading.textContent = this.title;
    this.schedule();
  }

  take(cursor) {
    if (cursor.every((value, axis) => value === this.cursor[axis])) return;
    this.cursor = [...cursor];
    this.schedule();
  }

  step(axis, by) {
    this.move({ [axis]: this.cursor[axis] + by });
  }

  move(places) {
    const next = this.cursor.map((value, axis) => clamp(places[axis] ?? value, 0, this.shape[axis] - 1));
    if (next.every((value, axis) => value === this.cursor[axis])) return;
    this.cursor = next;
    this.schedule();
    this.model.set("cursor", next); // linked viewers move at once
    this.model.save_changes(); // at once too: the echo of an older place would undo one that is not sent yet
  }

  // The image's 256 values through the window; overlays have their colours from the kernel.
  rewindow() {
    const [low, high] = this.model.get("window");
    for (const layer of this.layers.values()) {
      layer.table = layer.colours;
      if (layer.kind !== "image") continue;
      layer.table = new Uint8Array(1024);
      for (let value = 0; value < 256; value++) {
        const real = layer.low + (value / 255) * (layer.high - layer.low);
        const level = clamp(((real - low) / Math.max(high - low, 1e-9)) * 255, 0, 255);
        layer.table.set([level, level, level, 255], 4 * value);
      }
    }
    this.schedule();
    this.showWindow?.();
  }

  relook() {
    const looks = this.model.get("looks");
    for (const layer of this.layers.values()) {
      layer.opacity = looks[layer.name]?.opacity ?? 1;
      layer.visible = looks[layer.name]?.visible ?? true;
      if (layer.check) layer.check.checked = layer.visible;
      if (layer.slide) layer.slide.value = layer.opacity;
    }
    this.schedule();
  }

  look(name, change) {
    const looks = this.model.get("looks");
    this.model.set("looks", { ...looks, [name]: { ...looks[name], ...change } });
    this.relook();
    this.model.save_changes();
  }

  toggleOverlays() {
    const overlays = [...this.layers.values()].filter((layer) => layer.kind !== "image");
    const visible = !overlays.some((layer) => layer.visible);
    for (const layer of overlays) this.look(layer.name, { visible });
  }

  listLayers() {
    this.controls.replaceChildren();
    for (const layer of this.layers.values()) {
      const row = make("div", "ssmis-layer", this.controls);
      row.dataset.layer = layer.name;
      const label = make("label", "ssmis-name", row);
      layer.check = make("input", "ssmis-visible", label, { type: "checkbox", checked: layer.visible });
      layer.check.addEventListener("change", () => this.look(layer.name, { visible: layer.check.checked }));
      for (const [name, colour] of layer.legend ?? []) {
        make("span", "ssmis-swatch", label).style.background = colour;
        make("span", "", label, { textContent: name });
      }
      if (!layer.legend?.length) make("span", "", label, { textContent: layer.name });
      if (layer.kind === "image") this.windowSliders(layer, row);
      else {
        if (layer.kind !== "labels") this.colourBar(layer, row);
        const properties = { type: "range", min: 0, max: 1, step: 0.05, value: layer.opacity };
        layer.slide = make("input", "ssmis-opacity", row, properties);
        layer.slide.setAttribute("aria-label", `opacity of ${layer.name}`);
        layer.slide.addEventListener("input", () => this.look(layer.name, { opacity: Number(layer.slide.value) }));
        layer.slide.addEventListener("keydown", (event) => event.stopPropagation());
      }
    }
    this.schedule();
  }

  windowSliders(layer, row) {
    const span = layer.high - layer.low;
    const slider = (name, min, max) => {
      const label = make("label", "ssmis-window", row, { textContent: name });
      const input = make("input", `ssmis-${name}`, label, { type: "range", min, max, step: span / 200 });
      input.setAttribute("aria-label", `${name} of ${layer.name}`);
      input.addEventListener("keydown", (event) => event.stopPropagation());
      return input;
    };
    const [level, width] = [slider("level", layer.low, layer.high), slider("width", span / 200, 2 * span)];
    this.showWindow = () => {
      const [low, high] = this.model.get("window");
      [level.value, width.value] = [(low + high) / 2, high - low];
    };
    const change = () => {
      const [middle, wide] = [Number(level.value), Number(width.value)];
      this.model.set("window", [middle - wide / 2, middle + wide / 2]);
      this.rewindow();
      this.model.save_changes();
    };
    for (const input of [level, width]) input.addEventListener("input", change);
    this.showWindow();
  }

  colourBar(layer, row) {
    make("span", "ssmis-end", row, { textContent: layer.low.toPrecision(3) });
    const bar = make("canvas", "ssmis-bar", row, { width: 256, height: 1 });
    const context = bar.getContext("2d");
    const pixels = context.createImageData(256, 1);
    for (let i = 0; i < 256; i++) pixels.data.set([...layer.colours.slice(4 * i, 4 * i + 3), 255], 4 * i);
    context.putImageData(pixels, 0, 0);
    make("span", "ssmis-end", row, { textContent: `${layer.high.toPrecision(3)} ${layer.unit ?? ""}` });
  }

  described() {
    const index = this.cursor.reduce((sum, value, axis) => sum + value * this.strides[axis], 0);
    const told = [];
    for (const layer of this.layers.values()) {
      if (!layer.visible || !layer.values) continue;
      const value = layer.values[index];
      if (layer.kind === "labels") told.push(`${layer.name}: ${layer.classes[value] ?? value}`);
      else told.push(`${layer.name} ${(layer.low + (value / 255) * (layer.high - layer.low)).toPrecision(3)}`);
    }
    return told.join(", ");
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      for (const plane of this.planes) plane.draw();
      const mm = this.cursor.map((value, axis) => (value * this.spacing[axis]).toFixed(1));
      const places = this.planes.length === 1 ? 2 : 3;
      const voxel = `voxel (${this.cursor.slice(0, places).join(", ")})`;
      const where = this.model.get("in_mm") ? `${voxel}, ${mm.slice(0, places).join(", ")} mm` : voxel;
      this.readout.textContent = `${where}; ${this.described()}`;
      this.root.dataset.drawn = Number(this.root.dataset.drawn ?? 0) + 1;
    });
  }
}

export default {
  render({ model, el }) {
    let view = new View(model, el);
    const anew = () => {
      view.close();
      el.replaceChildren();
      view = new View(model, el);
    };
    model.on("change:volume", anew);
    return () => {
      model.off("change:volume", anew);
      view.close();
    };
  },
};
