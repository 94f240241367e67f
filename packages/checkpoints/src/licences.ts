// LICENSE and ATTRIBUTION.md: under which terms the weights and the data may be used, and whom to credit.
import type { DatasetManifest, RunSpec } from "@weft/protocol";
import { fenced, plain } from "./markdown.ts";

const isListed = (license: string): boolean => !license.startsWith("LicenseRef-");
const address = (license: string): string => `https://spdx.org/licenses/${license}.html`;

export const licenceText = (spec: RunSpec): string =>
  [
    `The weights in this folder are published under the licence with the SPDX identifier`,
    "",
    `    ${spec.license}`,
    "",
    ...(isListed(spec.license) ? ["Its full text:", "", `    ${address(spec.license)}`, ""] : []),
    "The data they were trained on has its own licence and asks for its own credit: see ATTRIBUTION.md.",
    "",
  ].join("\n");

export const licenceLine = (license: string): string => (isListed(license) ? `[${license}](${address(license)})` : license);

export function attributionText(manifest: DatasetManifest): string {
  const lines = [
    "# Data",
    "",
    `## ${plain(manifest.name)}`,
    "",
    plain(manifest.description),
    "",
    `- Licence: ${licenceLine(manifest.license)}`,
    `- Credit: ${plain(manifest.attribution)}`,
    `- Source: ${plain(manifest.source)}`,
    `- Changes: ${plain(manifest.preprocessing)}`,
  ];
  if (manifest.citation.trim() !== "") lines.push("", "Citation:", "", fenced(manifest.citation));
  lines.push("", "Files of the source, by SHA-256:", "");
  lines.push(...manifest.files.map(({ name, sha256 }) => `- ${plain(name)}: \`${sha256}\``), "");
  return lines.join("\n");
}
