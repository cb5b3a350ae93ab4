SELECT images.id, images.owner, images.name, images.status, images.visibility, images.protected, images.os_hidden, images.min_disk, images.min_ram, images.disk_format, images.container_format, images.size, images.virtual_size, images.checksum, images.os_hash_algo, images.os_hash_value, images.created_at, images.updated_at, images.content_id, images.stores, images.location_references, images.external_url, images.former_owner, images.former_visibility, images.former_status, images.tags, images.properties, sized.promised, sized.found 
FROM images JOIN (SELECT chosen.image_id AS image_id, chosen.promised AS promised, chosen.key_0 AS key_0, chosen.key_1 AS key_1, chosen.key_2 AS key_2, images.details_bytes + length(images.location_references) AS own_bytes, sum(images.details_bytes + length(images.location_references)) OVER (ORDER BY chosen.key_0 ASC, chosen.key_1 DESC, chosen.key_2 DESC ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS total_bytes, count(*) OVER () AS found 
FROM (SELECT candidates.image_id AS image_id, candidates.promised AS promised, candidates.key_0 AS key_0, candidates.key_1 AS key_1, candidates.key_2 AS key_2 
FROM (SELECT anon_1.image_id AS image_id, anon_1.promised AS promised, anon_1.key_0 AS key_0, anon_1.key_1 AS key_1, anon_1.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images 
WHERE images.owner = ? AND images.visibility = ? AND images.os_hidden = ? AND images.size >= ? AND images.status IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?)) AND (coalesce(images.name, '') > ? OR coalesce(images.name, '') = ? AND images.created_at < ? OR coalesce(images.name, '') = ? AND images.created_at = ? AND images.id < ?) ORDER BY coalesce(images.name, '') ASC, images.created_at DESC, images.id DESC
 LIMIT ? OFFSET ?) AS anon_1 UNION ALL SELECT anon_2.image_id AS image_id, anon_2.promised AS promised, anon_2.key_0 AS key_0, anon_2.key_1 AS key_1, anon_2.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 0 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images JOIN members ON members.image_id = images.id 
WHERE images.visibility = ? AND images.owner IS NOT ? AND members.member_id = ? AND members.expires_at > ? AND members.hidden = 0 AND NOT (EXISTS (SELECT * 
FROM endings 
WHERE endings.image_id = members.image_id AND endings.member_id = members.member_id AND endings.ends_at > ?)) AND images.os_hidden = ? AND images.size >= ? AND images.status IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?)) AND (coalesce(images.name, '') > ? OR coalesce(images.name, '') = ? AND members.image_created_at < ? OR coalesce(images.name, '') = ? AND members.image_created_at = ? AND members.image_id < ?) ORDER BY coalesce(images.name, '') ASC, members.image_created_at DESC, members.image_id DESC
 LIMIT ? OFFSET ?) AS anon_2 UNION ALL SELECT anon_3.image_id AS image_id, anon_3.promised AS promised, anon_3.key_0 AS key_0, anon_3.key_1 AS key_1, anon_3.key_2 AS key_2 
FROM (SELECT images.id AS image_id, 1 AS promised, coalesce(images.name, '') AS key_0, images.created_at AS key_1, images.id AS key_2 
FROM images JOIN endings ON endings.image_id = images.id 
WHERE endings.member_id = ? AND endings.ends_at > ? AND images.owner IS NOT ? AND (images.visibility = ? OR images.visibility = ?) AND images.os_hidden = ? AND images.size >= ? AND CASE WHEN (images.status = ?) THEN 'active' ELSE images.status END IN (?, ?) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?)) AND (EXISTS (SELECT image_tags.tag 
FROM image_tags 
WHERE image_tags.image_id = images.id AND image_tags.tag = ?)) AND (EXISTS (SELECT image_properties.name 
FROM image_properties 
WHERE image_properties.image_id = images.id AND image_properties.name = ? AND image_properties.value = ?)) AND (coalesce(images.name, '') > ? OR coalesce(images.name, '') = ? AND endings.image_created_at < ? OR coalesce(images.name, '') = ? AND endings.image_created_at = ? AND endings.image_id < ?) ORDER BY coalesce(images.name, '') ASC, endings.image_created_at DESC, endings.image_id DESC
 LIMIT ? OFFSET ?) AS anon_3) AS candidates ORDER BY candidates.key_0 ASC, candidates.key_1 DESC, candidates.key_2 DESC
 LIMIT ? OFFSET ?) AS chosen JOIN images ON images.id = chosen.image_id) AS sized ON sized.image_id = images.id 
WHERE sized.total_bytes <= ? OR sized.total_bytes = sized.own_bytes ORDER BY sized.key_0 ASC, sized.key_1 DESC, sized.key_2 DESC
