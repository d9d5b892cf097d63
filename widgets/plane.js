// One plane of a volume on a canvas: its slice with overlays, the crosshair, and what mouse and keyboard do there.

const AXES = ["x", "y", "z"];
const SIDE = 250; // pixels of a plane's longer side

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
    const stack = make("div", "ssmis-stack", this.box);
    this.canvas = make("canvas", "ssmis-canvas", stack, { ...size, tabIndex: 0 });
    this.canvas.style.width = `${wide}px`;
    this.canvas.style.height = `${high}px`;
    this.canvas.dataset.plane = this.name;
    this.canvas.setAttribute("role", "img");
    this.cross = [make("div", "ssmis-cross ssmis-vertical", stack), make("div", "ssmis-cross ssmis-horizontal", stack)];
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

  // The slice anew where another one is looked at or a layer looks otherwise; the crosshair and the words always.
  draw() {
    const { viewer } = this;
    const [w, h] = this.size();
    const at = viewer.cursor[this.through];
    if (this.drawn?.at !== at || this.drawn.version !== viewer.version) this.slice(w, h);
    this.drawn = { at, version: viewer.version };
    const [vertical, horizontal] = this.cross;
    vertical.style.left = `${(100 * (viewer.cursor[this.across] + 0.5)) / w}%`;
    horizontal.style.top = `${100 * (1 - (viewer.cursor[this.up] + 0.5) / h)}%`;
    this.slider.value = at;
    this.caption.textContent = this.slider.hidden
      ? `${AXES[this.across]} to the right, ${AXES[this.up]} up`
      : `${this.name}, ${AXES[this.through]} = ${at} of ${viewer.shape[this.through] - 1}`;
    this.canvas.setAttribute("aria-label", `${viewer.title}: ${this.caption.textContent}; ${viewer.described()}`);
  }

  slice(w, h) {
    const { viewer, pixels, context, canvas } = this;
    pixels.data.fill(0);
    const shown = [...viewer.layers.values()].filter((layer) => layer.visible && layer.values);
    for (const layer of shown) if (!layer.outline) this.fill(layer, pixels.data, w, h);
    this.small.getContext("2d").putImageData(pixels, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.small, 0, 0, canvas.width, canvas.height);
    for (const layer of shown) if (layer.outline) this.stroke(layer, w, h);
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
