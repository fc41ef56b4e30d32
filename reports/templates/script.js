const tools = document.createElement("div");
tools.className = "tools";
for (const [label, open] of [["Unfold everything", true], ["Fold everything", false]]) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => document.querySelectorAll("details").forEach((part) => { part.open = open; }));
  tools.append(button);
}
document.querySelector("nav").append(tools);
