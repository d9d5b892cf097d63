// Three-dimensional traces of a plotly figure as a still on a plain canvas: for a browser without WebGL, which plotly
// needs for them. Meshes (mesh3d with i, j, k) are shaded and drawn from the farthest triangle to the nearest.

const NUMBERS = {
  f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, i2: Int16Array, u2: Uint16Array, i1: Int8Array, u1: Uint8Array,
};
const SHARP = 2; // canvas pixels a pixel of the page
const DASHES = { dot: [2, 3], dash: [6, 4] };
const WITHOUT = "A still: this browser has no WebGL, which turning it needs.";

function hasWebGL() {
  try {
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("webgl") ?? canvas.getContext("experimental-webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext(); // a page may hold a few only
    return Boolean(context);
  } catch {
    return false;
  }
}

// Numbers as plotly's Python side writes them: a list, or bytes in base64.
function numbers(told) {
  if (!told?.bdata) return Array.from(told ?? [], (value) => value ?? NaN);
  const bytes = Uint8Array.from(atob(told.bdata), (letter) => letter.charCodeAt(0));
  return new NUMBERS[told.dtype](bytes.buffer);
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const minus = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const unit = (a) => a.map((value) => value / (Math.hypot(...a) || 1));

// The place of the eye and where it sees a point: as plotly's perspective of axes in true proportions.
class Camera {
  constructor(low, high, eye, width, height) {
    this.middle = low.map((value, axis) => (value + high[axis]) / 2);
    const spans = low.map((value, axis) => Math.max(high[axis] - value, 1e-6));
    this.size = Math.cbrt(spans[0] * spans[1] * spans[2]);
    this.eye = eye;
    this.ahead = unit(eye.map((value) => -value));
    this.right = unit(cross(this.ahead, [0, 0, 1]));
    this.up = cross(this.right, this.ahead);
    [this.scale, this.left, this.top] = [1, 0, 0];
    const corners = [...Array(8).keys()].map((n) => this.see([0, 1, 2].map((axis) => ((n >> axis) & 1 ? high : low)[axis])));
    const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
    const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const [across, upright] = [50, 25]; // room for the names of the axes
    this.scale = Math.min((width - 2 * across) / (x1 - x0), (height - 2 * upright) / (y1 - y0));
    this.left = width / 2 - (this.scale * (x0 + x1)) / 2;
    this.top = height / 2 - (this.scale * (y0 + y1)) / 2;
  }

  inside(point) {
    return point.map((value, axis) => (value - this.middle[axis]) / this.size);
  }

  // [x, y, how far away], in pixels and in sizes of the scene.
  see(point) {
    const way = minus(this.inside(point), this.eye);
    const far = dot(way, this.ahead);
    return [this.left + (this.scale * dot(way, this.right)) / far, this.top - (this.scale * dot(way, this.up)) / far, far];
  }
}

class Solid {
  constructor(traces, scene, width, height) {
    [this.traces, this.scene, this.width, this.height] = [traces, scene, width, height];
    this.points = traces.map((trace) => {
      const [x, y, z] = ["x", "y", "z"].map((axis) => numbers(trace[axis]));
      return Array.from(x, (value, n) => [value, y[n], z[n]]);
    });
    const known = this.points.flat().filter((point) => point.every(Number.isFinite));
    const end = (pick) => [0, 1, 2].map((axis) => known.reduce((best, point) => pick(best, point[axis]), known[0]?.[axis] ?? 0));
    [this.low, this.high] = [end(Math.min), end(Math.max)];
    const { x = 1.25, y = 1.25, z = 1.25 } = scene.camera?.eye ?? {};
    this.camera = new Camera(this.low, this.high, [x, y, z], width, height);
    this.canvas = this.sheet();
  }

  sheet() {
    const canvas = make("canvas", "", null, { width: SHARP * this.width, height: SHARP * this.height });
    canvas.getContext("2d").scale(SHARP, SHARP);
    return canvas;
  }

  // The address of the picture.
  draw() {
    const context = this.canvas.getContext("2d");
    this.axes(context);
    this.lines(context, false);
    this.traces.forEach((trace, n) => trace.type === "mesh3d" && this.mesh(context, trace, this.points[n]));
    this.lines(context, true);
    return this.canvas.toDataURL();
  }

  // Lines of the traces that lie in the farther half of the scene, or in the nearer one.
  lines(context, near) {
    const middle = Math.hypot(...this.camera.eye);
    this.traces.forEach(({ type, line = {} }, n) => {
      if (type === "mesh3d") return;
      const seen = this.points[n].map((point) => this.camera.see(point));
      context.setLineDash(DASHES[line.dash] ?? []);
      [context.strokeStyle, context.lineWidth] = [line.color ?? "#444", (line.width ?? 2) / 2];
      context.beginPath();
      for (let k = 1; k < seen.length; k++) {
        const [[x0, y0, d0], [x1, y1, d1]] = [seen[k - 1], seen[k]];
        if (!Number.isFinite(d0 + d1) || (d0 + d1) / 2 < middle !== near) continue;
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
      }
      context.stroke();
    });
    context.setLineDash([]);
  }

  // The surface on a sheet of its own, which is then laid over the rest: what lies behind shines through once.
  mesh(context, trace, points) {
    const [i, j, k] = ["i", "j", "k"].map((corner) => numbers(trace[corner]));
    const [seen, inside] = [points.map((point) => this.camera.see(point)), points.map((point) => this.camera.inside(point))];
    const depth = (n) => seen[i[n]][2] + seen[j[n]][2] + seen[k[n]][2];
    const order = Array.from(i, (_, n) => [depth(n), n]).sort((a, b) => b[0] - a[0]);
    const { eye, up, right } = this.camera;
    const light = unit(unit(eye).map((value, axis) => value + 0.6 * up[axis] - 0.4 * right[axis]));
    const [own, colour] = [this.sheet(), rgb(trace.color ?? "#888888")];
    const pen = own.getContext("2d");
    pen.lineWidth = 0.6; // closes the hair between neighbours
    for (const [, n] of order) {
      const [a, b, c] = [i[n], j[n], k[n]];
      const across = unit(cross(minus(inside[b], inside[a]), minus(inside[c], inside[a])));
      const shade = 0.35 + 0.65 * Math.abs(dot(across, light));
      pen.fillStyle = pen.strokeStyle = `rgb(${colour.map((value) => Math.round(value * shade)).join(",")})`;
      pen.beginPath();
      for (const corner of [a, b, c]) pen.lineTo(seen[corner][0], seen[corner][1]);
      pen.closePath();
      pen.fill();
      pen.stroke();
    }
    context.globalAlpha = trace.opacity ?? 1;
    context.drawImage(own, 0, 0, this.width, this.height);
    context.globalAlpha = 1;
  }

  // The three edges of the room that stand free of what is in it, with the axes' names and their ends.
  axes(context) {
    const { low, high, camera } = this;
    const [ex, ey] = camera.eye;
    const [outer, side, back] = [ey < 0 ? low[1] : high[1], ex < 0 ? low[0] : high[0], ex < 0 ? high[0] : low[0]];
    const edges = [
      ["xaxis", [low[0], outer, low[2]], [high[0], outer, low[2]]],
      ["yaxis", [side, low[1], low[2]], [side, high[1], low[2]]],
      ["zaxis", [back, outer, low[2]], [back, outer, high[2]]],
    ];
    const centre = camera.see(camera.middle);
    Object.assign(context, { strokeStyle: "#999", fillStyle: "#444", lineWidth: 1, font: "11px sans-serif", textBaseline: "middle" });
    for (const [name, from, to] of edges) {
      const [[x0, y0], [x1, y1]] = [camera.see(from), camera.see(to)];
      context.beginPath();
      context.moveTo(x0, y0);
      context.lineTo(x1, y1);
      context.stroke();
      const axis = "xyz".indexOf(name[0]);
      const words = this.scene[name]?.title?.text ?? name[0];
      for (const [text, share] of [[low[axis], 0.14], [words, 0.5], [high[axis], 0.86]]) {
        const [x, y] = [x0 + share * (x1 - x0), y0 + share * (y1 - y0)];
        const out = unit([x - centre[0], y - centre[1], 0]);
        context.textAlign = out[0] < 0 ? "right" : "left";
        context.fillText(typeof text === "number" ? String(Number(text.toPrecision(3))) : text, x + 6 * out[0], y + 12 * out[1]);
      }
    }
  }
}

function rgb(colour) {
  const value = parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

// The figure with its scenes as pictures; the legend keeps the names of their traces.
function withoutScenes({ data, layout }) {
  const solid = (trace) => ["mesh3d", "scatter3d"].includes(trace.type);
  if (!data.some(solid)) return { data, layout };
  const { l = 80, r = 80, t = 100, b = 80 } = layout.margin ?? {};
  const flat = { ...layout, images: [...(layout.images ?? [])], annotations: [...(layout.annotations ?? [])] };
  for (const name of Object.keys(layout).filter((key) => /^scene\d*$/.test(key))) {
    const { x = [0, 1], y = [0, 1] } = layout[name].domain ?? {};
    const own = data.filter((trace) => solid(trace) && (trace.scene ?? "scene") === name);
    const [width, height] = [(layout.width - l - r) * (x[1] - x[0]), (layout.height - t - b) * (y[1] - y[0])];
    const place = { x: x[0], y: y[1], sizex: x[1] - x[0], sizey: y[1] - y[0], xref: "paper", yref: "paper" };
    flat.images.push({ source: new Solid(own, layout[name], width, height).draw(), ...place, layer: "below" });
    const at = { x: x[0], y: y[1], xref: "paper", yref: "paper", xanchor: "left", yanchor: "top", showarrow: false };
    flat.annotations.push({ text: WITHOUT, font: { size: 10 }, ...at });
    delete flat[name];
  }
  const entry = ({ name, color, line, showlegend }) => ({
    ...{ type: "scatter", x: [null], y: [null], name, showlegend: Boolean(name) && showlegend !== false },
    ...(line ? { mode: "lines", line: { color: line.color, dash: line.dash, width: 2 } } : {}),
    ...(line ? {} : { mode: "markers", marker: { color, symbol: "square", size: 10 } }),
  });
  const hidden = { visible: false, fixedrange: true };
  const legend = { ...layout.legend, itemclick: false, itemdoubleclick: false };
  return {
    data: data.map((trace) => (solid(trace) ? entry(trace) : trace)),
    layout: { xaxis: hidden, yaxis: hidden, ...flat, legend, ...{ dragmode: false } },
  };
}
