export const page = { title: 'trust', content: async () => '' };
