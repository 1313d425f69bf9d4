// Formats Lua files with StyLua:  node stylua.mjs [--fix] FILE…
//
// Without --fix it lists the files whose format differs and exits with 1. StyLua runs as WebAssembly, because its
// native program is not in a package registry. A first line such as `#!lua flags=…` is not Lua and is kept as it is.

import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// The packages are installed beside package.json, in the folder from which this script is started.
const stylua = createRequire(`${process.cwd()}/`)('@johnnymorganz/stylua');

function configuration() {
  const config = stylua.Config.new();
  config.column_width = 120;
  config.indent_type = stylua.IndentType.Spaces;
  config.indent_width = 2;
  config.quote_style = stylua.QuoteStyle.AutoPreferSingle;
  config.collapse_simple_statement = stylua.CollapseSimpleStatement.Always;
  config.syntax = stylua.LuaVersion.Lua51; // Redis embeds Lua 5.1
  return config;
}

function format(text) {
  const end = text.startsWith('#!') ? text.indexOf('\n') + 1 : 0;
  return (
    text.slice(0, end) + stylua.formatCode(text.slice(end), configuration(), undefined, stylua.OutputVerification.Full)
  );
}

const fix = process.argv[2] === '--fix';
for (const file of process.argv.slice(fix ? 3 : 2)) {
  const text = readFileSync(file, 'utf8');
  const formatted = format(text);
  if (formatted === text) continue;
  if (fix) {
    writeFileSync(file, formatted);
  } else {
    console.log(`${file}: the format differs`);
    process.exitCode = 1;
  }
}
