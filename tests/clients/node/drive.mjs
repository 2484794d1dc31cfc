// Stands behind the code of contracts/clients.md in one module: does what scenario.json says, prints what came of it.

const scenario = JSON.parse(fs.readFileSync('scenario.json', 'utf8'));

async function outcome(act) {
  try {
    return { value: await act() };
  } catch (error) {
    return { error: error.message };
  }
}

/** From now on sign as the library does by itself, but for `options`. */
function plainly(options) {
  const { tls } = used.security;
  const plain = new soap.WSSecurityCert(pem('sign.key.pem'), pem('sign.crt.pem'), '', options);
  used.setSecurity(Object.assign(plain, { tls, addOptions: (request) => Object.assign(request, tls) }));
}

const used = scenario.connect ? await connect(scenario.url, scenario.connect) : client;
if (scenario.options) used.setSecurity(new Signed(pem('sign.key.pem'), pem('sign.crt.pem'), used.security.tls, scenario.options));
for (const header of scenario.headers ?? []) used.addSoapHeader(header);

const outcomes = { first: reply, calls: [], replies: [] };
for (const { operation, message, security } of scenario.calls ?? []) {
  if (security) plainly(security);
  outcomes.calls.push(await outcome(async () => (await used[`${operation}Async`](message))[0]));
}
for (const { reply: came, ticket } of scenario.replies ?? []) {
  outcomes.replies.push(await outcome(() => used.httpClient.genuine(came, ticket)));
}
console.log(JSON.stringify(outcomes));
process.exit(0); // connections are kept alive
