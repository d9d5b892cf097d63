// Elements of a page: what all widgets here are built of.

function make(tag, className, parent, properties = {}) {
  const element = document.createElement(tag);
  element.className = className;
  Object.assign(element, properties);
  parent?.append(element);
  return element;
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
