// Shows the document of the listener that this page comes from. What is typed into Authorize stays in this tab.
SwaggerUIBundle({
  url: 'openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  docExpansion: 'list',
  filter: true,
  showExtensions: false,
  tryItOutEnabled: true,
  validatorUrl: null,
});
