const byId = id => document.getElementById(id);
const sliders = [...document.querySelectorAll("input[type=range]")];
const line = document.querySelector("polyline");
const history = [];

async function api(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const response = await fetch("/api/v1/" + path, options);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

function show(light) {
  for (const slider of sliders) slider.value = light[slider.name];
  byId("lamp").style.background = `rgb(${light.red} ${light.green} ${light.blue})`;
}

function draw(temperature) {
  byId("temperature").value = temperature.toFixed(1);
  history.push(temperature);
  if (history.length > 60) history.shift();
  const y = value => 20 - Math.min(Math.max(value - 15, 0), 15) / 15 * 20;
  line.setAttribute("points", history.map((value, x) => `${x},${y(value)}`).join(" "));
}

async function refresh() {
  try {
    const info = await api("system/info");
    byId("version").textContent = info.version;
    byId("cores").textContent = info.cores;
    byId("up").textContent = `${info.up} s`;
    draw((await api("temp/raw")).raw);
    byId("status").textContent = "";
  } catch (error) {
    byId("status").textContent = error.message;
  }
  setTimeout(refresh, 1000);
}

for (const slider of sliders) {
  slider.oninput = async () => {
    const light = Object.fromEntries(sliders.map(({ name, value }) => [name, Number(value)]));
    try {
      show(await api("light/brightness", light));
    } catch (error) {
      byId("status").textContent = error.message;
    }
  };
}

api("light/brightness").then(show);
refresh();
