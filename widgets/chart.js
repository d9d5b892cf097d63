// A plotly figure, redrawn in place. Plotly's script comes from the kernel, once a page; figures come as messages.
// Without WebGL what is three-dimensional is shown as a still.

const AFTER = 50; // milliseconds: a chart takes long to draw, so planes and numbers of the same answer go first

class View {
  constructor(model, root) {
    this.model = model;
    this.root = root;
    root.classList.add("ssmis-chart");
    root.setAttribute("role", "img");
    this.area = document.createElement("div");
    root.append(this.area);
    this.heard = (content, buffers) => this.receive(content, buffers);
    model.on("msg:custom", this.heard);
    model.send({ type: "ready", script: !globalThis.ssmisPlotly });
  }

  receive(content, buffers) {
    if (content.type === "script" && !globalThis.ssmisPlotly) {
      const module = { exports: {} };
      const text = new TextDecoder().decode(buffers[0]);
      new Function("module", "exports", "define", text)(module, module.exports, undefined);
      globalThis.ssmisPlotly = module.exports;
    }
    if (content.type !== "figure" || !globalThis.ssmisPlotly) return;
    this.latest = content.figure; // others that come until then need not be drawn
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.draw(JSON.parse(this.latest));
    }, AFTER);
  }

  async draw(figure) {
    globalThis.ssmisWebGL ??= hasWebGL();
    const { data, layout } = globalThis.ssmisWebGL ? figure : withoutScenes(figure);
    const fresh = !this.area.on;
    layout.uirevision ??= "as it was"; // zoom, camera and hidden traces stay
    await globalThis.ssmisPlotly.react(this.area, data, layout, { displaylogo: false });
    if (fresh) {
      this.area.on("plotly_click", ({ points: [point] }) => {
        this.model.send({ type: "pick", trace: point.curveNumber, point: point.pointNumber });
      });
    }
    this.root.setAttribute("aria-label", layout.meta?.alt ?? layout.title?.text ?? "");
    this.root.dataset.drawn = Number(this.root.dataset.drawn ?? 0) + 1;
  }

  close() {
    this.model.off("msg:custom", this.heard);
    clearTimeout(this.timer);
    globalThis.ssmisPlotly?.purge(this.area);
  }
}

export default {
  render({ model, el }) {
    const view = new View(model, el);
    return () => view.close();
  },
};
