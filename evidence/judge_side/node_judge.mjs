// The judge's part inside the sandbox for `node --test`: run each test file by itself and report what its XML says.
//
// Written into a fresh sandbox, outside of the workspace, and executed as
// `node node_judge.mjs OPTIONS… -- FILES…` in the project's folder. It loads no judged code, but the
// processes that it starts do, and what they report is what they wrote: evidence of level C.
//
// What it writes on descriptor 3, a line of JSON each: {file, status, signal, xml, log} of every file, then {end}.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const AT_ONCE = 2;
const LOG_LENGTH = 8000;
const REPORT_DESCRIPTOR = 3;

const words = process.argv.slice(2);
const options = words.slice(0, words.indexOf("--"));
const files = words.slice(words.indexOf("--") + 1);
const place = mkdtempSync(join(tmpdir(), "assay-node-"));

function report(fields) {
  let rest = Buffer.from(JSON.stringify(fields) + "\n");
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(REPORT_DESCRIPTOR, rest));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

function readXml(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // the runner was ended before it wrote any
  }
}

function runFile(file, number) {
  const xml = join(place, `${number}.xml`);
  const reporters = [
    ...["--test-reporter=junit", `--test-reporter-destination=${xml}`],
    ...["--test-reporter=spec", "--test-reporter-destination=stdout"],
  ];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ["--test", ...reporters, ...options, file], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let log = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        process.stdout.write(text);
        log = (log + text).slice(-LOG_LENGTH);
      });
    }
    child.on("error", (error) => resolve({ file, status: null, signal: String(error), xml: null, log }));
    child.on("close", (status, signal) => resolve({ file, status, signal, xml: readXml(xml), log }));
  });
}

let next = 0;
let failed = false;
async function work() {
  while (next < files.length) {
    const number = next++;
    const done = await runFile(files[number], number);
    failed ||= done.status !== 0;
    report(done);
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, work));
report({ end: files.length });
process.exitCode = failed ? 1 : 0;
