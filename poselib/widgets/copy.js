// A button that puts a text on the clipboard, also where a page may not use it directly.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function render({ model, el }) {
  const button = document.createElement("button");
  button.className = "jupyter-widgets jupyter-button widget-button lm-Widget";
  button.textContent = model.get("description");
  button.title = model.get("tooltip");
  button.addEventListener("click", async () => {
    await copy(model.get("text"));
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = model.get("description")), 1500);
  });
  el.append(button);
}

export default { render };
