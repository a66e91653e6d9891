// A real OpenID Provider (npm oidc-provider) on loopback, with its own sign-in form; facts as JSON in the first argument:
// port, redirect_uri, secret. Prints a line when it takes work. Any name signs in: no password, it is a test.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const facts = JSON.parse(process.argv[2]);
const issuer = `http://localhost:${facts.port}`;

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'enlace',
    client_secret: facts.secret,
    redirect_uris: [facts.redirect_uri],
    response_types: ['code'],
    grant_types: ['authorization_code'],
    token_endpoint_auth_method: 'client_secret_basic',
  }],
  pkce: { required: () => true },
  cookies: { keys: ['a made-up key of a test'] },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
});

createServer(provider.callback()).listen(facts.port, '127.0.0.1', () => console.log('ready'));
