// An OAuth server as SMART asks for it, tokens as JWT. Backend Services: private_key_jwt, client_credentials. App
// Launch: authorization code with PKCE, OpenID Connect with `fhirUser`, the context of a launch in the token's answer.
// Clients register themselves (POST /reg), an EHR its launches (POST /launches); argument: a file that gets the address.
import { generateKeyPairSync } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';
import { contextOf, isLaunch, persons } from './persons.mjs';

const AUDIENCE = 'https://fhir.example.org/r4';
const TYPES = ['*', 'AllergyIntolerance', 'AuditEvent', 'Communication', 'Condition', 'DetectedIssue',
  'DiagnosticReport', 'Encounter', 'Flag', 'Group', 'Immunization', 'MedicationDispense', 'MedicationRequest',
  'MedicationStatement', 'Observation', 'Patient', 'Procedure', 'Provenance', 'QuestionnaireResponse',
  'ServiceRequest', 'Subscription'];
const PERMISSIONS = ['read', 'write', '*', 'rs', 'r', 's', 'c', 'cud', 'cu', 'cruds'];
const SCOPES = [
  ...TYPES.flatMap((type) => PERMISSIONS.map((permission) => `system/${type}.${permission}`)),
  ...TYPES.flatMap((type) => PERMISSIONS.map((permission) => `patient/${type}.${permission}`)),
  'launch', 'launch/patient',
];
const PERSONS = ['openid', 'fhirUser'];
const METHODS = ['RS384', 'ES384'];
const SECONDS = 300;

const signing = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const seconds = (context, token, client) => client.token_seconds ?? SECONDS;

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...signing, kid: 'peer', alg: 'RS256', use: 'sig' }] },
  scopes: [...PERSONS, ...SCOPES],
  claims: { openid: ['sub'], fhirUser: ['fhirUser'] },
  conformIdTokenClaims: false, // they stand in the id_token, as SMART asks
  clientAuthMethods: ['private_key_jwt', 'none'],
  enabledJWA: { clientAuthSigningAlgValues: METHODS },
  extraClientMetadata: { properties: ['token_seconds', 'fhir'] },
  extraParams: {
    launch(context, launch) {
      if (launch !== undefined && !isLaunch(launch)) throw new errors.InvalidRequest('there is no such launch');
    },
    aud(context, aud, client) {
      if (client.fhir && aud !== client.fhir) throw new errors.InvalidRequest('aud is another server');
    },
  },
  findAccount: (context, user) => ({
    accountId: user,
    claims: () => ({ sub: user, fhirUser: `${context.oidc.client.fhir}/${user}` }),
  }),
  loadExistingGrant: ({ oidc }) => oidc.result?.consent && oidc.provider.Grant.find(oidc.result.consent.grantId),
  issueRefreshToken: (context, client) => client.grantTypeAllowed('refresh_token'),
  extraTokenClaims: (context, token) => ({ patient: contextOf(token.grantId).patient }),
  ttl: { ClientCredentials: seconds, AccessToken: seconds },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => AUDIENCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: SCOPES.join(' '),
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});

// What SMART puts beside the token: the context of the launch, and all scopes that were granted.
provider.use(async (context, next) => {
  await next();
  const grant = context.oidc?.route === 'token' ? context.oidc.entities.Grant : undefined;
  if (grant && context.status === 200) {
    const scopes = new Set(`${grant.getOIDCScope()} ${context.body.scope}`.trim().split(' '));
    Object.assign(context.body, contextOf(grant.jti), { scope: [...scopes].join(' ') });
  }
});

const callback = provider.callback();
server.on('request', (request, response) => {
  persons(provider, request, response)
    .then((done) => done || callback(request, response))
    .catch((error) => {
      response.statusCode = 400;
      response.end(`${error.name}: ${error.message}`);
    });
});
writeFileSync(`${process.argv[2]}.new`, issuer);
renameSync(`${process.argv[2]}.new`, process.argv[2]);
process.on('SIGTERM', () => process.exit(0));
