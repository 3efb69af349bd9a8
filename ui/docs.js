// The API's description, read from /openapi.json and shown as a list.

import { byId, el, fill } from '/ui/dom.js';

function operation(path, method, description) {
  const parameters = (description.parameters ?? []).map((parameter) => el('tr', {},
    el('td', {}, el('code', {}, parameter.name)),
    el('td', {}, parameter.in),
    el('td', {}, parameter.description ?? '')));
  const answers = Object.entries(description.responses).map(([status, answer]) => el('li', {},
    el('b', {}, status), ' ', answer.description, ' ',
    Object.entries(answer.content ?? {}).map(([type, content]) =>
      el('code', {}, `${type}${name(content.schema)} `))));
  const takes = Object.entries(description.requestBody?.content ?? {}).map(([type, content]) =>
    el('code', {}, `${type}${name(content.schema)} `));
  return el('details', { class: 'panel' },
    el('summary', {}, el('span', { class: `method ${method}` }, method.toUpperCase()), ' ',
      el('code', {}, path), ' ', el('span', { class: 'hint' }, description.summary)),
    description.description && el('p', {}, description.description),
    takes.length > 0 && el('p', {}, 'Takes ', takes),
    parameters.length > 0 && el('table', {}, el('tbody', {}, parameters)),
    el('ul', {}, answers));
}

function name(schema) {
  const found = schema?.$ref?.split('/').pop();
  return found ? ` ${found}` : '';
}

try {
  const description = await (await fetch('/openapi.json')).json();
  const all = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, found]) => operation(path, method, found)));
  const schemas = Object.entries(description.components.schemas).map(([schema, found]) =>
    el('details', { class: 'panel' }, el('summary', {}, el('code', {}, schema)),
      el('pre', {}, JSON.stringify(found, null, 2))));
  fill(byId('routes'), all, el('h2', {}, 'Shapes'), schemas);
} catch (error) {
  byId('error').hidden = false;
  byId('error').textContent = `The description could not be read: ${error.message}`;
}
