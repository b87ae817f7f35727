// A file handed to the browser, and its name.

/** Name of a file after a title, safe anywhere. */
export function fileName(title, ending) {
  return `${title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "") || "view"}${ending}`;
}

export function download(blob, title, ending) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = fileName(title, ending);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
