// Persons: an EHR's sign-in page, its page of consent with the choice of a patient, and the launches that it knows.
// Who signs in writes the reference of their resource: `Practitioner/anna`.
import { randomUUID } from 'node:crypto';

const launches = new Map(); // what an EHR sends along -> {patient, encounter, appContext}
const contexts = new Map(); // grant -> the same

export const contextOf = (grant) => contexts.get(grant) ?? {};

const escaped = (text) => String(text).replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`);

function page(response, title, fields) {
  response.setHeader('Content-Type', 'text/html; charset=utf-8');
  response.end(`<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>${title}</title><h1>${title}</h1>
    <form method="post">${fields}</form></html>`);
}

async function form(request) {
  let body = '';
  for await (const part of request) body += part;
  return body;
}

const chooses = (params) => params.scope.split(' ').includes('launch/patient');

function show(response, { prompt, params }) {
  if (prompt.name === 'login') {
    page(response, 'Sign in', '<label>User <input name="user" required></label> <button>Sign in</button>');
    return;
  }
  const scopes = params.scope.split(' ').map((one) => `<li>${escaped(one)}</li>`).join('');
  const patient = chooses(params) ? '<label>Patient <input name="patient"></label>' : '';
  page(response, `Allow ${escaped(params.client_id)}?`, `<ul>${scopes}</ul>${patient}
    <button name="answer" value="allow">Allow</button> <button name="answer" value="deny">Deny</button>`);
}

async function granted(provider, { prompt, params, session }, given) {
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '));
  for (const [resource, scopes] of Object.entries(prompt.details.missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  const id = await grant.save();
  const chosen = given.get('patient') ? { patient: given.get('patient') } : {};
  contexts.set(id, params.launch ? launches.get(params.launch) : chosen);
  return { consent: { grantId: id } };
}

async function answer(provider, details, given) {
  if (details.prompt.name === 'login') return { login: { accountId: given.get('user') } };
  if (given.get('answer') !== 'allow') return { error: 'access_denied', error_description: 'the user said no' };
  return granted(provider, details, given);
}

/** Answers what is not the provider's; whether it did. */
export async function persons(provider, request, response) {
  if (request.url === '/launches' && request.method === 'POST') {
    const launch = randomUUID();
    launches.set(launch, JSON.parse(await form(request)));
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({ launch }));
    return true;
  }
  if (!request.url.startsWith('/interaction/')) return false;
  const details = await provider.interactionDetails(request, response);
  if (request.method === 'POST') {
    const result = await answer(provider, details, new URLSearchParams(await form(request)));
    await provider.interactionFinished(request, response, result);
  } else {
    show(response, details);
  }
  return true;
}

/** Whether a launch is one of ours. */
export const isLaunch = (launch) => launches.has(launch);
