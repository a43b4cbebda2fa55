for (const root of document.querySelectorAll(".embedding-map")) {
  const data = JSON.parse(root.querySelector("script[type]").textContent);
  const dots = [...root.querySelectorAll("circle")], scans = root.querySelector(".scans");
  const said = root.querySelector(".said"), legend = root.querySelector(".legend");
  function paint(number) {
    const [, fills, words] = data.colourings[number];
    dots.forEach((dot, k) => dot.setAttribute("fill", fills[k]));
    legend.replaceChildren(...words.map(([fill, text]) => {
      const line = document.createElement("li"), mark = document.createElement("i");
      mark.style.background = fill;
      line.append(mark, text);
      return line;
    }));
  }
  function lay(name) {
    dots.forEach((dot, k) => { [dot.cx.baseVal.value, dot.cy.baseVal.value] = data.places[name][k]; });
  }
  function choose(number) {
    const near = data.neighbours[number];
    dots.forEach((dot, k) => dot.setAttribute("class", k === number ? "chosen" : near.includes(k) ? "near" : ""));
    const told = Object.entries(data.values).map(([name, all]) => `${name} ${all[number] || "unknown"}`);
    said.textContent = [data.ids[number], ...told].join(", ") + "; then its neighbours, the nearest first:";
    scans.replaceChildren(...[number, ...near].map((k) => {
      const card = document.createElement("button");
      if (data.thumbnails[k]) {
        const shown = new Image();
        shown.src = "data:image/webp;base64," + data.thumbnails[k];
        shown.alt = data.ids[k];
        card.append(shown);
      }
      card.append(data.ids[k]);
      card.onclick = () => choose(k);
      return card;
    }));
  }
  root.querySelector(".by").onchange = (event) => paint(event.target.selectedIndex);
  const laid = root.querySelector(".laid");
  if (laid) laid.onchange = (event) => lay(event.target.value);
  dots.forEach((dot, k) => {
    dot.onclick = () => choose(k);
    dot.onkeydown = (event) => { if (event.key === "Enter") choose(k); };
  });
  choose(0);
}
