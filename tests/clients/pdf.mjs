// A small PDF of our own: pages of lines in Helvetica, enough to be read and cited.
export function makePdf(pages) {
  const escape = s => s.replace(/[\\()]/g, c => '\\' + c);
  const objects = [];
  const add = body => objects.push(body);
  const kids = pages.map((_, i) => `${4 + 2 * i} 0 R`).join(' ');
  add('<< /Type /Catalog /Pages 2 0 R >>');
  add(`<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`);
  add('<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>');
  pages.forEach((lines, i) => {
    const text = 'BT /F1 12 Tf 72 720 Td 16 TL\n' +
      lines.map(l => `(${escape(l)}) Tj T*`).join('\n') + '\nET';
    add(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${5 + 2 * i} 0 R ` +
      '/Resources << /Font << /F1 3 0 R >> >> >>');
    add(`<< /Length ${text.length} >>\nstream\n${text}\nendstream`);
  });
  let out = '%PDF-1.4\n';
  const at = objects.map((body, i) => {
    const start = out.length;
    out += `${i + 1} 0 obj\n${body}\nendobj\n`;
    return start;
  });
  const xref = out.length;
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n` +
    at.map(n => `${String(n).padStart(10, '0')} 00000 n \n`).join('') +
    `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`;
  return Buffer.from(out, 'latin1');
}
