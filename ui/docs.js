// The API's description, read from /openapi.json and shown as a list: every route, every shape, each
// mention of a shape a link to it.

import { byId, el, fill } from '/ui/dom.js';

function operation(path, method, description) {
  const parameters = (description.parameters ?? []).map((parameter) => el('tr', {},
    el('td', {}, el('code', {}, parameter.name)),
    el('td', {}, parameter.in),
    el('td', {}, parameter.description ?? '')));
  const answers = Object.entries(description.responses).map(([status, answer]) => el('li', {},
    el('b', {}, status), ' ', answer.description, ' ', contents(answer.content),
    examples('Example', answer.content)));
  const { requestBody } = description;
  return el('details', { class: 'panel', id: description.operationId },
    el('summary', {}, el('span', { class: `method ${method}` }, method.toUpperCase()), ' ',
      el('code', {}, path), ' ', el('span', { class: 'hint' }, description.summary)),
    description.description && el('p', {}, description.description),
    requestBody && el('p', {}, 'Takes ', contents(requestBody.content)),
    requestBody && examples('Example', requestBody.content),
    parameters.length > 0 && el('table', {}, el('tbody', {}, parameters)),
    el('ul', {}, answers));
}

/** The content types, each with its shape. */
function contents(content = {}) {
  return Object.entries(content).map(([type, { schema }], at) =>
    [at > 0 && ' or ', el('code', {}, type), named(schema)]);
}

function named(schema) {
  const many = schema?.items?.$ref;
  const name = (schema?.$ref ?? many)?.split('/').pop();
  return name && [many ? ', an array of ' : ' ', shape(name)];
}

function shape(name) {
  return el('a', { href: `#shape-${name}` }, el('code', {}, name));
}

function examples(title, content = {}) {
  return Object.values(content).filter(({ example }) => example).map(({ example }) =>
    el('details', {}, el('summary', {}, title), el('pre', { tabindex: 0 }, JSON.stringify(example, null, 2))));
}

const REFERENCE = /("\$ref": ")#\/components\/schemas\/(\w+)(")/g;

/** A schema as JSON, with links for references. */
function linked(schema) {
  const text = JSON.stringify(schema, null, 2);
  const nodes = [];
  let from = 0;
  for (const found of text.matchAll(REFERENCE)) {
    nodes.push(text.slice(from, found.index), '"$ref": ', shape(found[2]));
    from = found.index + found[0].length;
  }
  return [nodes, text.slice(from)];
}

/** Opens what the address names. */
function follow() {
  const found = location.hash && byId(decodeURIComponent(location.hash.slice(1)));
  if (!found || found.tagName !== 'DETAILS') return;
  found.open = true;
  found.scrollIntoView();
  found.querySelector('summary').focus();
}

try {
  const description = await (await fetch('/openapi.json')).json();
  const all = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, found]) => operation(path, method, found)));
  const schemas = Object.entries(description.components.schemas).map(([schema, found]) =>
    el('details', { class: 'panel', id: `shape-${schema}` }, el('summary', {}, el('code', {}, schema)),
      el('pre', {}, linked(found))));
  fill(byId('routes'), all, el('h2', {}, 'Shapes'), schemas);
  window.addEventListener('hashchange', follow);
  follow();
} catch (error) {
  byId('error').hidden = false;
  byId('error').textContent = `The description could not be read: ${error.message}`;
}
