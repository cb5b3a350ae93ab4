SELECT manifests.start, manifests.encoded 
FROM manifests 
WHERE manifests.content_id = ? AND manifests.start < ? AND manifests.start >= (SELECT coalesce(max(manifests.start), ?) AS coalesce_1 
FROM manifests 
WHERE manifests.content_id = ? AND manifests.start <= ?) ORDER BY manifests.start
 LIMIT ? OFFSET ?
