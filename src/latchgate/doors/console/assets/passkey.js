// Passkeys: the one thing here that a form can't do. A form with data-passkey is shown when this
// runs; its button asks the browser, puts the answer into the form and sends it like any other.
"use strict";

const toBytes = (text) => {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
};

const toText = (buffer) => {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
};

const read = (options) => {
  options.challenge = toBytes(options.challenge);
  if (options.user) {
    options.user.id = toBytes(options.user.id);
  }
  for (const one of options.excludeCredentials || []) {
    one.id = toBytes(one.id);
  }
  return options;
};

const written = (made) => {
  const response = { clientDataJSON: toText(made.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (made.response[name]) {
      response[name] = toText(made.response[name]);
    }
  }
  return JSON.stringify({
    id: made.id,
    rawId: toText(made.rawId),
    type: made.type,
    clientExtensionResults: {},
    response,
  });
};

const ask = async (form) => {
  const answer = await fetch(form.dataset.options, {
    method: "POST",
    credentials: "same-origin",
    redirect: "manual",
    body: new URLSearchParams({ csrf: form.elements.csrf.value }),
  });
  if (answer.type === "opaqueredirect") {
    // Who is signed in must prove it again: the form itself is sent there.
    return "";
  }
  if (!answer.ok) {
    throw new Error(`options were refused: ${answer.status}`);
  }
  const told = await answer.json();
  const made = await navigator.credentials[form.dataset.passkey]({
    publicKey: read(told.publicKey),
  });
  return written(made);
};

for (const hint of document.querySelectorAll("[data-without-passkeys]")) {
  hint.hidden = Boolean(window.PublicKeyCredential);
}
for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) {
    continue;
  }
  form.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    const problem = form.querySelector(".problem");
    button.disabled = true;
    problem.hidden = true;
    try {
      form.elements.credential.value = await ask(form);
      form.submit();
    } catch {
      problem.hidden = false;
      button.disabled = false;
    }
  });
}
