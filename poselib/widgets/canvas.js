// A picture with a cross, a box and names of points; coordinates are px of an image of `size`.
const NEAR = 14; // px on the page within which a point is named
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function render({ model, el }) {
  const title = document.createElement("div");
  const stage = document.createElement("div");
  const canvas = document.createElement("canvas");
  const note = document.createElement("div");
  el.classList.add("poselib-canvas");
  title.className = "poselib-title";
  stage.className = "poselib-stage";
  note.className = "poselib-note";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  stage.append(canvas, note);
  el.append(title, stage);
  let bitmap = null, latest = 0, start = null, cross = null;

  const size = () => model.get("size");
  const paint = () => {
    if (!bitmap) return;
    const [height, width] = size();
    const ctx = canvas.getContext("2d");
    const unit = canvas.width / width;
    const line = Math.max(1.5, canvas.width / 350);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const mark = (path) => {
      for (const [color, extra] of [["#fff", 2 * line], ["#d01c8b", 0]]) {
        ctx.strokeStyle = color;
        ctx.lineWidth = line + extra;
        ctx.beginPath();
        path();
        ctx.stroke();
      }
    };
    const box = model.get("box");
    if (box.length === 4) mark(() => ctx.rect(box[0] * unit, box[1] * unit, (box[2] - box[0]) * unit, (box[3] - box[1]) * unit));
    if (cross && !model.get("boxed")) { // where the keys are
      const [x, y] = [cross[0] * unit, cross[1] * unit], arm = 5 * line;
      mark(() => { ctx.moveTo(x - arm, y); ctx.lineTo(x + arm, y); ctx.moveTo(x, y - arm); ctx.lineTo(x, y + arm); });
    }
  };
  const load = async () => {
    const data = model.get("picture");
    if (!data || !data.byteLength) return;
    const number = ++latest;
    const picture = await createImageBitmap(new Blob([data]));
    if (number !== latest) return; // a later one has come
    bitmap = picture;
    note.style.display = "none"; // it names a point of the picture before
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.style.width = `${model.get("width")}px`;
    canvas.dataset.shown = String(Number(canvas.dataset.shown ?? 0) + 1);
    paint();
  };
  const point = (event) => {
    const [height, width] = size(), page = canvas.getBoundingClientRect();
    const x = ((event.clientX - page.left) / page.width) * width;
    const y = ((event.clientY - page.top) / page.height) * height;
    return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
  };
  const click = ([x, y]) => {
    cross = null;
    model.set("clicked", [x, y, model.get("clicked")[2] + 1]);
    model.save_changes();
    paint();
  };
  const moved = (box, [dx, dy]) => {
    const [height, width] = size();
    dx = Math.min(Math.max(dx, -box[0]), width - box[2]);
    dy = Math.min(Math.max(dy, -box[1]), height - box[3]);
    return [box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy];
  };
  const place = (box) => {
    model.set("box", box);
    model.save_changes();
    paint();
  };
  const within = ([x, y], box) => box.length === 4 && x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3];

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    const at = point(event), box = model.get("box");
    start = { at, box: within(at, box) ? box : null };
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = point(event);
    if (start && model.get("boxed")) {
      const [x, y] = start.at;
      if (start.box) place(moved(start.box, [at[0] - x, at[1] - y]));
      else place([Math.min(x, at[0]), Math.min(y, at[1]), Math.max(x, at[0]), Math.max(y, at[1])]);
      return;
    }
    name(at);
  });
  canvas.addEventListener("pointerup", (event) => {
    if (start && !model.get("boxed")) click(point(event));
    start = null;
  });
  canvas.addEventListener("pointercancel", () => (start = null));
  canvas.addEventListener("pointerleave", () => (note.style.display = "none"));
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key], [height, width] = size();
    const boxed = model.get("boxed"), box = model.get("box");
    if (model.get("key_names").includes(event.key)) {
      model.set("pressed", [event.key, (model.get("pressed")[1] ?? 0) + 1]);
      model.save_changes();
    } else if (step) {
      const by = step.map((part) => part * Math.max(1, width / 256) * (event.shiftKey ? 10 : 1));
      if (boxed) place(moved(box.length === 4 ? box : [0.4 * width, 0.4 * height, 0.6 * width, 0.6 * height], by));
      else {
        const [x, y] = cross ?? (model.get("clicked")[2] ? model.get("clicked") : [width / 2, height / 2]);
        cross = [Math.min(Math.max(x + by[0], 0), width), Math.min(Math.max(y + by[1], 0), height)];
        name(cross);
        paint();
      }
    } else if (event.key === "Enter" && !boxed && cross) click(cross);
    else if ((event.key === "Delete" || event.key === "Backspace") && boxed) place([]);
    else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab would move to another cell
  });
  function name([x, y]) {
    const page = canvas.getBoundingClientRect(), [height, width] = size();
    const unit = page.width / width;
    let best = null, least = NEAR;
    for (const label of model.get("labels")) {
      const far = Math.hypot(label[0] - x, label[1] - y) * unit;
      if (far < least) [best, least] = [label, far];
    }
    note.style.display = best ? "block" : "none";
    if (!best) return;
    note.textContent = best[2];
    note.style.left = `${best[0] * unit + 10}px`;
    note.style.top = `${best[1] * (page.height / height) + 10}px`;
  }
  const head = () => {
    title.textContent = model.get("title");
    canvas.setAttribute("aria-label", model.get("title") || "image");
  };
  model.on("change:picture", load);
  model.on("change:size", paint);
  model.on("change:box", paint);
  model.on("change:boxed", paint);
  model.on("change:title", head);
  head();
  load();
}

export default { render };
