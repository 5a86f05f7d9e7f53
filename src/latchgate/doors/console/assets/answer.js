// Sends an answer on to the application that it is for; without this a button does.
for (const form of document.querySelectorAll("form[data-answer]")) {
  form.submit();
}
