// An OAuth server as SMART Backend Services ask for it: private_key_jwt, client_credentials, tokens as JWT.
// Clients register themselves (POST /reg); argument: a file that gets the address.
import { generateKeyPairSync } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const AUDIENCE = 'https://fhir.example.org/r4';
const TYPES = ['*', 'AuditEvent', 'Communication', 'Condition', 'DetectedIssue', 'DiagnosticReport', 'Encounter', 'Flag',
  'Group', 'MedicationRequest', 'Observation', 'Patient', 'Procedure', 'ServiceRequest', 'Subscription'];
const PERMISSIONS = ['read', 'write', '*', 'rs', 'r', 's', 'cud', 'cu', 'cruds'];
const SCOPES = TYPES.flatMap((type) => PERMISSIONS.map((permission) => `system/${type}.${permission}`));
const METHODS = ['RS384', 'ES384'];
const SECONDS = 300;

const signing = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...signing, kid: 'peer', alg: 'RS256', use: 'sig' }] },
  scopes: SCOPES,
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: METHODS },
  extraClientMetadata: { properties: ['token_seconds'] },
  ttl: { ClientCredentials: (context, token, client) => client.token_seconds ?? SECONDS },
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
server.on('request', provider.callback());
writeFileSync(`${process.argv[2]}.new`, issuer);
renameSync(`${process.argv[2]}.new`, process.argv[2]);
process.on('SIGTERM', () => process.exit(0));
