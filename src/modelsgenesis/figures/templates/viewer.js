"use strict";
// Panes of NiiVue, each a canvas of its own; the page's description says what they show. Millimetres are RAS here.
const EXACT = [0, true]; // the first volume's millimetres, of oblique axes too
const find = (id) => document.getElementById(id);
const page = JSON.parse(find("scenes").textContent);
const state = { scene: 0, panes: [], hidden: new Set(), labels: true, limits: [0, 1], opacity: 0.5, smooth: true };
const DIVERGING = { R: [40, 0, 220], G: [130, 0, 60], B: [255, 0, 30], A: [255, 255, 255], I: [0, 128, 255] };
const SLIDER = 1000; // steps of a slider
const volumes = new Map();

function complain(words) {
  find("trouble").textContent = words;
  find("trouble").hidden = false;
  document.body.dataset.state = "trouble";
}

function decoded(text) {
  const letters = atob(text.trim()), bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

function inflated(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function buffer_of(name) {
  if (!volumes.has(name)) {
    const bytes = page.served ? await (await fetch(`${name}.nii.gz`)).arrayBuffer() : decoded(find(name).textContent);
    volumes.set(name, await inflated(bytes));
  }
  return volumes.get(name);
}

async function load_niivue() {
  const script = document.createElement("script");
  script.textContent = new TextDecoder().decode(await inflated(decoded(find("niivue").textContent)));
  document.head.append(script);
}

async function image_of(name) {
  return niivue.NVImage.new(await buffer_of(name), `${name}.nii`, "gray", 1);
}

async function make_pane() {
  const box = document.createElement("div"), title = document.createElement("h2");
  const frame = document.createElement("div"), canvas = document.createElement("canvas");
  const place = document.createElement("p");
  box.className = "pane"; frame.className = "frame"; place.className = "place";
  canvas.tabIndex = 0;
  frame.append(canvas);
  box.append(title, frame, place);
  find("panes").append(box);
  const viewer = new niivue.Niivue({
    isRadiologicalConvention: true, multiplanarShowRender: 0, dragAndDropEnabled: false, logLevel: "error",
    loadingText: "", backColor: [0, 0, 0, 1], crosshairColor: [1, 0.75, 0.2, 0.8], fontColor: [1, 0.85, 0.4, 1],
    crosshairWidthUnit: "percent", crosshairWidth: 0.4, isForceMouseClickToVoxelCenters: true, viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", multiplanarPadPixels: 4, isAntiAlias: false,
    showAllOrientationMarkers: true,
  });
  const pane = { box, title, canvas, place, viewer, shown: null, layers: [] };
  await viewer.attachToCanvas(canvas, false);
  viewer.addColormap("below and above", DIVERGING);
  viewer.onLocationChange = () => moved(pane);
  canvas.addEventListener("pointermove", (event) => hover(pane, event));
  canvas.addEventListener("pointerleave", () => tell(pane, pane.viewer.scene.crosshairPos));
  return pane;
}

function moved(pane) {
  const viewer = pane.viewer, mm = viewer.frac2mm(viewer.scene.crosshairPos, ...EXACT);
  tell(pane, viewer.scene.crosshairPos);
  if (!find("linked").checked || !page.scenes[state.scene].linked) return;
  for (const other of shown_panes()) {
    if (other === pane) continue;
    other.viewer.scene.crosshairPos = other.viewer.mm2frac(mm, ...EXACT);
    other.viewer.scene.pan2Dxyzmm = [...viewer.scene.pan2Dxyzmm];
    other.viewer.drawScene();
    tell(other, other.viewer.scene.crosshairPos);
  }
}

function hover(pane, event) {
  const frame = pane.canvas.getBoundingClientRect(), ratio = pane.viewer.uiData.dpr || 1;
  const frac = pane.viewer.canvasPos2frac([(event.clientX - frame.left) * ratio, (event.clientY - frame.top) * ratio]);
  if (frac[0] >= 0) tell(pane, frac);
}

function in_letters(mm) {
  const letters = [["R", "L"], ["A", "P"], ["S", "I"]];
  return letters.map((pair, axis) => `${pair[mm[axis] < 0 ? 1 : 0]} ${Math.abs(mm[axis]).toFixed(1)}`).join(", ") + " mm";
}

function tell(pane, frac) {
  const image = pane.viewer.volumes[0], scene = page.scenes[state.scene];
  if (!image) return;
  const voxel = Array.from(pane.viewer.frac2vox(frac)), mm = pane.viewer.frac2mm(frac, ...EXACT);
  const values = Array.from(image.getValues(...voxel, image.frame4D));
  const exact = values.map((value) => (Number.isInteger(value) ? value : Number(value.toPrecision(4)))).join(", ");
  const names = pane.layers.flatMap((layer, at) => {
    const there = pane.viewer.volumes[at + 1].getValue(...voxel);
    return layer.labels.filter((label) => label.value === there).map((label) => label.name);
  });
  const where = scene.oriented ? in_letters(mm) : "";
  const side = image.dimsRAS, own = [side[1] - 1 - voxel[0], side[2] - 1 - voxel[1], voxel[2]]; // NiiVue counts in RAS
  const counted = own.map((each, axis) => each * pane.shown.step[axis]);
  const flat = scene.flat ? `pixel ${counted.slice(0, 2)}` : `voxel ${counted}`;
  const of_series = pane.shown.num > 1 ? `volume ${image.frame4D + 1} of ${pane.shown.num}` : "";
  const told = [`${exact} ${pane.shown.unit}`.trim(), ...names, where, flat, of_series];
  pane.place.textContent = told.filter(Boolean).join(" · ");
}

function shown_panes() {
  return state.panes.filter((pane) => !pane.box.hidden);
}

function colours_of(layer) {
  const highest = Math.max(0, ...layer.labels.map((label) => label.value));
  const map = { R: [], G: [], B: [], A: [], I: [], labels: [] };
  for (let value = 0; value <= highest; value++) {
    const label = layer.labels.find((each) => each.value === value);
    const rgb = label ? [1, 3, 5].map((at) => parseInt(label.colour.slice(at, at + 2), 16)) : [0, 0, 0];
    map.R.push(rgb[0]); map.G.push(rgb[1]); map.B.push(rgb[2]);
    map.A.push(label && state.labels && !state.hidden.has(label.name) ? 255 : 0);
    map.I.push(value); map.labels.push("");
  }
  return map;
}

async function fill(pane, shown, scene) {
  const viewer = pane.viewer;
  while (viewer.volumes.length) viewer.removeVolume(viewer.volumes[viewer.volumes.length - 1]);
  pane.shown = shown;
  pane.layers = shown.layers;
  pane.title.textContent = shown.title;
  const image = await image_of(shown.volume);
  if (shown.diverging) image.colormap = "below and above";
  viewer.addVolume(image);
  for (const layer of shown.layers) {
    const drawn = await image_of(layer.volume);
    drawn.setColormapLabel(colours_of(layer));
    drawn.opacity = state.opacity;
    viewer.addVolume(drawn);
  }
  viewer.opts.isOrientationTextVisible = scene.oriented;
  viewer.opts.sliceType = scene.flat ? 0 : Number(find("view").value);
  viewer.scene.crosshairPos = viewer.mm2frac(shown.at, ...EXACT);
  viewer.setInterpolation(!state.smooth);
}

function paint() {
  const [low, high] = state.limits;
  for (const pane of shown_panes()) {
    const [first, ...rest] = pane.viewer.volumes;
    [first.cal_min, first.cal_max] = pane.shown.display || [low, high];
    rest.forEach((each, at) => {
      each.opacity = state.opacity;
      each.setColormapLabel(colours_of(pane.layers[at]));
    });
    pane.viewer.updateGLVolume();
    tell(pane, pane.viewer.scene.crosshairPos);
  }
  const unit = shown_panes()[0].shown.unit;
  find("limits").textContent = `black ${short(low)}, white ${short(high)} ${unit}`;
}

function short(value) {
  return String(Number(value.toPrecision(4)));
}

function set_limits(low, high) {
  state.limits = [low, high];
  find("level").value = (low + high) / 2;
  find("width").value = high - low;
  paint();
}

function offer_windows(scene) {
  const names = scene.windows.map(([name]) => name), all = scene.windows.flatMap(([, low, high]) => [low, high]);
  find("window").replaceChildren(...names.map((name) => new Option(name, name)));
  const low = Math.min(...all), high = Math.max(...all), step = (high - low) / SLIDER || 1;
  Object.assign(find("level"), { min: low, max: high, step });
  Object.assign(find("width"), { min: step, max: high - low, step });
}

function offer_volumes(scene) {
  const num = Math.max(...scene.panes.map((pane) => pane.num));
  Object.assign(find("volume"), { min: 1, max: num, step: 1, value: 1 });
  find("volume").closest("label").hidden = num < 2;
}

function choose_volume(number) { // from 1
  const to = Math.min(Number(find("volume").max), Math.max(1, number));
  find("volume").value = String(to);
  for (const pane of shown_panes()) {
    pane.viewer.setFrame4D(pane.viewer.volumes[0].id, Math.min(to, pane.shown.num) - 1);
    tell(pane, pane.viewer.scene.crosshairPos);
  }
}

function list_labels(scene) {
  const labels = new Map();
  for (const pane of scene.panes) for (const layer of pane.layers) for (const label of layer.labels) {
    const known = labels.get(label.name) || { colour: label.colour, sizes: [] };
    if (label.size) known.sizes.push(scene.panes.length > 1 ? `${pane.title} ${label.size}` : label.size);
    labels.set(label.name, known);
  }
  const lines = [...labels].map(([name, { colour, sizes }]) => {
    const line = document.createElement("label"), box = document.createElement("input"), mark = document.createElement("i");
    box.type = "checkbox"; box.checked = !state.hidden.has(name); box.dataset.label = name;
    mark.style.background = colour;
    box.addEventListener("change", () => { state.hidden[box.checked ? "delete" : "add"](name); paint(); });
    line.append(box, mark, `${name}${sizes.length ? `: ${sizes.join(", ")}` : ""}`);
    return line;
  });
  find("list").replaceChildren(...lines);
  find("labels").hidden = !lines.length;
}

async function show(number) {
  document.body.dataset.state = "loading";
  const scene = page.scenes[number];
  state.scene = number;
  find("scene").value = String(number);
  find("note").textContent = scene.note;
  while (state.panes.length < scene.panes.length) state.panes.push(await make_pane());
  state.panes.forEach((pane, at) => { pane.box.hidden = at >= scene.panes.length; });
  for (const [at, shown] of scene.panes.entries()) await fill(state.panes[at], shown, scene);
  if (scene.plane !== null) { find("view").value = String(scene.plane); set_view(); }
  for (const each of ["view", "linked"]) find(each).closest("label").hidden = each === "view" ? scene.flat : !scene.linked;
  const coloured = scene.panes.every((pane) => pane.coloured); // NiiVue shows colours as they are, whatever the window
  for (const each of ["window", "level", "width"]) find(each).closest("label").hidden = coloured;
  find("limits").hidden = coloured;
  find("opacity").closest("label").hidden = !scene.panes.some((pane) => pane.layers.length);
  offer_windows(scene);
  offer_volumes(scene);
  list_labels(scene);
  set_limits(scene.windows[0][1], scene.windows[0][2]);
  document.body.dataset.state = "ready";
}

function choose_window(number) {
  const scene = page.scenes[state.scene];
  if (!scene.windows[number]) return;
  find("window").selectedIndex = number;
  set_limits(scene.windows[number][1], scene.windows[number][2]);
}

function set_opacity(value) {
  state.opacity = Math.min(1, Math.max(0, value));
  find("opacity").value = state.opacity;
  paint();
}

function set_view() {
  for (const pane of shown_panes()) pane.viewer.setSliceType(Number(find("view").value));
}

function next_view() {
  if (page.scenes[state.scene].flat) return;
  find("view").selectedIndex = (find("view").selectedIndex + 1) % find("view").options.length;
  set_view();
}

function step(x, y, z) {
  const pane = shown_panes().find((each) => each.canvas === document.activeElement) || shown_panes()[0];
  pane.viewer.moveCrosshairInVox(x, y, z);
  moved(pane);
}

function turn(by) {
  const number = state.scene + by;
  if (document.body.dataset.state === "ready" && page.scenes[number]) show(number);
}

const KEYS = {
  ArrowLeft: () => step(1, 0, 0), ArrowRight: () => step(-1, 0, 0), // the picture's right is the patient's left
  ArrowUp: () => step(0, 1, 0), ArrowDown: () => step(0, -1, 0), PageUp: () => step(0, 0, 1), PageDown: () => step(0, 0, -1),
  ",": () => choose_volume(Number(find("volume").value) - 1), ".": () => choose_volume(Number(find("volume").value) + 1),
  "[": () => set_opacity(state.opacity - 0.1), "]": () => set_opacity(state.opacity + 0.1),
  l: () => { state.labels = !state.labels; paint(); }, v: next_view, n: () => turn(1), p: () => turn(-1),
  i: () => { state.smooth = !state.smooth; shown_panes().forEach((pane) => pane.viewer.setInterpolation(!state.smooth)); },
};

function pressed(event) {
  const typed = ["INPUT", "SELECT", "SUMMARY"].includes(event.target.tagName);
  if (typed || event.ctrlKey || event.metaKey || event.altKey || document.body.dataset.state !== "ready") return;
  event.stopImmediatePropagation(); // NiiVue has keys of its own
  const act = /^[1-9]$/.test(event.key) ? () => choose_window(Number(event.key) - 1) : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}

function listen() {
  const from_sliders = () => {
    const level = Number(find("level").value), width = Number(find("width").value);
    state.limits = [level - width / 2, level + width / 2];
    paint();
  };
  find("level").addEventListener("input", from_sliders);
  find("width").addEventListener("input", from_sliders);
  find("window").addEventListener("change", () => choose_window(find("window").selectedIndex));
  find("volume").addEventListener("input", () => choose_volume(Number(find("volume").value)));
  find("opacity").addEventListener("input", () => set_opacity(Number(find("opacity").value)));
  find("view").addEventListener("change", set_view);
  find("scene").addEventListener("change", () => show(Number(find("scene").value)));
  window.addEventListener("keydown", pressed, true);
  window.addEventListener("keyup", (event) => { if (event.target.tagName === "CANVAS") event.stopImmediatePropagation(); }, true);
}

async function start() {
  if (!document.createElement("canvas").getContext("webgl2")) {
    complain("This browser draws no WebGL 2, which the viewer needs: turn on its graphics acceleration, or use another browser.");
    return;
  }
  find("scene").replaceChildren(...page.scenes.map((scene, number) => new Option(scene.title, String(number))));
  find("scene").closest("label").hidden = page.scenes.length < 2;
  listen();
  await load_niivue();
  await show(0);
}

start().catch((error) => { complain(`The viewer could not start: ${error.message}`); throw error; });
