// Three linked planes of a volume. The volume and its overlays come once, as bytes; scrolling, windowing, opacity and
// the crosshair are worked out here, without asking the kernel.

const REST = 150; // milliseconds without a move, after which the kernel is told of the crosshair
const TOGETHER = 100; // milliseconds that what a message changed waits at most for the rest of its answer
const PLANES = [
  { name: "axial", across: 0, up: 1, through: 2 },
  { name: "coronal", across: 0, up: 2, through: 1 },
  { name: "sagittal", across: 1, up: 2, through: 0 },
];

// Viewers that messages came for. Those of one answer follow each other and are drawn in one frame, since each frame
// delays the next message. Each viewer has a copy of this script, so what they share is the page's.
const soon = (globalThis.ssmisSoon ??= {
  views: new Set(),
  add(view) {
    this.views.add(view);
    this.timer ??= setTimeout(() => this.draw(), TOGETHER);
  },
  draw() {
    clearTimeout(this.timer);
    this.timer = null;
    for (const view of this.views) view.schedule();
    this.views.clear();
  },
});

class View {
  constructor(model, root) {
    this.model = model;
    this.shape = model.get("shape");
    this.spacing = model.get("spacing");
    this.title = model.get("title");
    this.strides = [this.shape[1] * this.shape[2], this.shape[2], 1];
    this.layers = new Map();
    this.version = 0; // of all that planes are drawn from but the crosshair
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
    this.moved = -REST;
    this.follow = ({ detail: { from, group, cursor } }) => {
      if (from !== this && group === model.get("group")) this.put(cursor);
    };
    document.addEventListener("ssmis-crosshair", this.follow);
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
    document.removeEventListener("ssmis-crosshair", this.follow);
    clearTimeout(this.saving); // of another volume that may be
    soon.views.delete(this);
    this.layers.clear();
  }

  // Layers come two buffers each: their values and their colours.
  receive({ layers, gone, more }, buffers) {
    const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    for (const name of gone) this.layers.delete(name);
    layers.forEach((layer, n) => {
      const [values, colours] = buffers.slice(2 * n, 2 * n + 2).map(bytes);
      this.layers.set(layer.name, { ...this.layers.get(layer.name), ...layer, values, colours });
    });
    this.rewindow();
    this.relook();
    this.listLayers();
    if (!more) soon.draw();
  }

  retitle() {
    this.title = this.model.get("title");
    this.heading.textContent = this.title;
    soon.add(this);
  }

  // Where the kernel, or another page, puts the crosshair. In the midst of moves that is an older place.
  take(cursor) {
    if (performance.now() - this.moved < REST || cursor.every((value, axis) => value === this.cursor[axis])) return;
    this.cursor = [...cursor];
    this.schedule();
  }

  step(axis, by) {
    this.move({ [axis]: this.cursor[axis] + by });
  }

  move(places) {
    const next = this.cursor.map((value, axis) => clamp(places[axis] ?? value, 0, this.shape[axis] - 1));
    if (next.every((value, axis) => value === this.cursor[axis])) return;
    this.put(next);
    const detail = { from: this, group: this.model.get("group"), cursor: next };
    document.dispatchEvent(new CustomEvent("ssmis-crosshair", { detail })); // other views and linked viewers, at once
    clearTimeout(this.saving); // a kernel that answers to each step would slow the next one
    this.saving = setTimeout(() => this.save(), REST);
  }

  // Set just before it is sent: what a model is set to and does not send goes along with its next slider, long outdated.
  save() {
    this.model.set("cursor", this.cursor);
    this.model.save_changes();
  }

  put(cursor) {
    [this.cursor, this.moved] = [cursor, performance.now()];
    this.schedule();
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
    this.repaint();
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
    this.repaint();
  }

  look(name, change) {
    const looks = this.model.get("looks");
    this.model.set("looks", { ...looks, [name]: { ...looks[name], ...change } });
    this.relook();
    this.schedule(); // a hand on a slider waits for nothing
    this.model.save_changes();
  }

  toggleOverlays() {
    const overlays = [...this.layers.values()].filter((layer) => layer.kind !== "image");
    const visible = !overlays.some((layer) => layer.visible);
    for (const layer of overlays) this.look(layer.name, { visible });
  }

  // The rows are built anew only where a layer came, went or changed its legend or its ends: one that is held stays.
  listLayers() {
    const looks = [...this.layers.values()].map(({ name, kind, low, high, unit, legend }) => [name, kind, low, high, unit, legend]);
    const listed = JSON.stringify(looks);
    if (listed === this.listed) return;
    this.listed = listed;
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
      this.schedule();
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

  repaint() {
    this.version += 1;
    soon.add(this);
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
