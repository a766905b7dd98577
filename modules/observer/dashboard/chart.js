// A figure of one or two lines over the last two minutes: caption, the newest values, a drawing by hand.

const span = 120_000; // milliseconds

// A round figure not less than `value`: of decimal digits, or of bytes.
function round_up(value, binary) {
  if (binary) return 2 ** Math.ceil(Math.log2(value));
  const power = 10 ** Math.floor(Math.log10(value));
  return power * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * power >= value);
}

function make(tag, className, parent) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  parent.append(element);
  return element;
}

export class Chart {
  // `least`: what the scale reaches at least. `format`: a value as text. `binary`: bytes.
  constructor(figure, scale) {
    this.scale = scale;
    this.points = []; // {at, values}
    this.caption = make("figcaption", "", figure);
    const value = make("div", "value", figure);
    this.main = make("span", "", value);
    this.other = make("span", "other", value);
    this.canvas = make("canvas", "", figure);
    this.canvas.setAttribute("role", "img");
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  // Another caption is another figure.
  title(caption, scale = this.scale) {
    if (this.caption.textContent === caption) return;
    this.caption.textContent = caption;
    this.scale = scale;
    this.points = [];
  }

  // `values`: one or two, null where there is none. `main` and `other` are the texts above.
  add(at, values, main, other = "") {
    this.points.push({ at, values });
    while (this.points.length > 0 && this.points[0].at < at - span - 5000) this.points.shift();
    this.main.textContent = main;
    this.other.textContent = other;
    this.canvas.setAttribute("aria-label", `${this.caption.textContent}: ${main} ${other}`);
    this.draw();
  }

  clear() {
    this.points = [];
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0) return;
    const ratio = window.devicePixelRatio || 1;
    const [pixels, lines] = [Math.round(width * ratio), Math.round(height * ratio)];
    // Setting a size clears the canvas, so only when it is another one.
    if (this.canvas.width !== pixels || this.canvas.height !== lines) {
      this.canvas.width = pixels;
      this.canvas.height = lines;
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const colours = getComputedStyle(this.canvas);
    const colour = (name) => colours.getPropertyValue(name).trim();
    const all = this.points.flatMap((point) => point.values).filter((value) => value !== null);
    const top = round_up(Math.max(this.scale.least, ...all), this.scale.binary);
    this.draw_scale(context, width, height, top, colour);
    const last = this.points.length > 0 ? this.points[this.points.length - 1].at : 0;
    const x = (at) => width - ((last - at) / span) * width;
    const y = (value) => height - 2 - (value / top) * (height - 18);
    this.draw_line(context, 0, colour("--first"), x, y, height);
    this.draw_line(context, 1, colour("--second"), x, y, 0);
  }

  draw_scale(context, width, height, top, colour) {
    context.strokeStyle = colour("--line");
    context.lineWidth = 1;
    for (const line of [16.5, Math.round((height + 14) / 2) + 0.5, height - 1.5]) {
      context.beginPath();
      context.moveTo(0, line);
      context.lineTo(width, line);
      context.stroke();
    }
    context.fillStyle = colour("--soft");
    context.font = `12px ${getComputedStyle(this.canvas).fontFamily}`;
    context.fillText(this.scale.format(top), 0, 11);
  }

  // `floor`: down to where the area below the line is tinted; 0: not at all. A gap where there is no value.
  draw_line(context, index, colour, x, y, floor) {
    const runs = [];
    let run = null;
    for (const { at, values } of this.points) {
      const value = values[index] ?? null;
      if (value === null) {
        run = null;
        continue;
      }
      if (run === null) runs.push((run = []));
      run.push([x(at), y(value)]);
    }
    context.lineWidth = 1.75;
    context.lineJoin = "round";
    context.lineCap = "round";
    context.strokeStyle = colour;
    context.fillStyle = colour;
    for (const points of runs) {
      const path = new Path2D();
      points.forEach(([left, up], i) => (i === 0 ? path.moveTo(left, up) : path.lineTo(left, up)));
      context.stroke(path);
      if (floor === 0) continue;
      path.lineTo(points[points.length - 1][0], floor);
      path.lineTo(points[0][0], floor);
      context.globalAlpha = 0.1;
      context.fill(path);
      context.globalAlpha = 1;
    }
  }
}
