// A page is a function from what is known to a tree of plain objects; `render` makes the
// document look like it, changing only what differs, so that focus, selection and scroll stay.
// What comes from outside (names, payloads, logs) reaches the document as text nodes and
// attribute values alone: there is no way here to hand it over as markup.

const SVG = "http://www.w3.org/2000/svg";
/** Set as properties: the attribute of these is only their first value. */
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "open"]);

/**
 * h("button.primary", { onclick, title }, "Run now", …). Props: `key` (identity among siblings),
 * `class` (added to the selector's), `style` (an object, set by property), `on…` (functions),
 * anything else an attribute; null, undefined and false leave it out. Children: nodes, text,
 * numbers, arrays of them; null and false are nothing.
 */
export function h(selector, ...rest) {
  const first = rest[0];
  const hasProps = first !== null && typeof first === "object" && !Array.isArray(first) && first.tag === undefined;
  const props = hasProps ? rest.shift() : {};
  const [tag, ...classes] = selector.split(".");
  if (props.class) classes.push(props.class);
  return { tag, key: props.key, props, classes: classes.join(" "), children: flatten(rest, []), element: null };
}

function flatten(list, into) {
  for (const item of list) {
    if (item === null || item === undefined || item === false || item === true) continue;
    if (Array.isArray(item)) flatten(item, into);
    else if (typeof item === "object") into.push(item);
    else into.push({ tag: "#text", key: undefined, text: String(item), element: null });
  }
  return into;
}

const rendered = new WeakMap();

/** Makes the children of `parent` those of `children`. It must hold nothing else. */
export function render(parent, ...children) {
  const next = flatten(children, []);
  reconcile(parent, rendered.get(parent) ?? [], next, false);
  rendered.set(parent, next);
}

function reconcile(parent, old, next, inSVG) {
  const keyed = new Map();
  const loose = [];
  for (const node of old) {
    if (node.key === undefined) loose.push(node);
    else keyed.set(node.key, node);
  }
  const kept = new Set();
  let looseIndex = 0;
  for (const node of next) {
    let match;
    if (node.key !== undefined) match = keyed.get(node.key);
    else {
      // The next loose one of the same kind; those passed over go.
      let index = looseIndex;
      while (index < loose.length && loose[index].tag !== node.tag) index += 1;
      if (index < loose.length) {
        match = loose[index];
        looseIndex = index + 1;
      }
    }
    if (match && match.tag === node.tag && !kept.has(match)) {
      kept.add(match);
      update(match, node, inSVG);
    } else {
      create(node, inSVG);
    }
  }
  for (const node of old) if (!kept.has(node)) node.element.remove();
  let place = parent.firstChild;
  for (const node of next) {
    if (node.element === place) place = place.nextSibling;
    else parent.insertBefore(node.element, place);
  }
}

function create(node, inSVG) {
  if (node.tag === "#text") {
    node.element = document.createTextNode(node.text);
    return;
  }
  const isSVG = inSVG || node.tag === "svg";
  node.element = isSVG ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  if (node.classes) node.element.setAttribute("class", node.classes);
  // Nothing is there that could be kept.
  for (const child of node.children) {
    create(child, isSVG);
    node.element.append(child.element);
  }
  // After the children: a select takes its value from among its options.
  for (const [name, value] of Object.entries(node.props)) set(node.element, name, value);
}

function update(old, node, inSVG) {
  const element = (node.element = old.element);
  if (node.tag === "#text") {
    if (old.text !== node.text) element.data = node.text;
    return;
  }
  if (old.classes !== node.classes) element.setAttribute("class", node.classes);
  reconcile(element, old.children, node.children, inSVG || node.tag === "svg");
  for (const name of Object.keys(old.props)) if (!(name in node.props)) set(element, name, null);
  for (const [name, value] of Object.entries(node.props)) {
    // A field that somebody is writing in is theirs, unless the page itself changed it.
    if (old.props[name] !== value) set(element, name, value, old.props[name]);
  }
}

function set(element, name, value, old) {
  if (name === "key" || name === "class") return;
  if (name.startsWith("on")) {
    element[name] = value ?? null;
  } else if (name === "style") {
    for (const key of Object.keys(old ?? {})) if (!value || !(key in value)) element.style.removeProperty(key);
    for (const [key, text] of Object.entries(value ?? {})) element.style.setProperty(key, text);
  } else if (PROPERTIES.has(name)) {
    if (name === "open") element.toggleAttribute("open", Boolean(value));
    else element[name] = value ?? (name === "value" ? "" : false);
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}
