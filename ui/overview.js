export const page = { title: 'overview', content: async () => '' };
